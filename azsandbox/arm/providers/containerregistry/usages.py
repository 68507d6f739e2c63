"""GET …/listUsages: what a registry uses of the quotas of its tier."""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.providers.containerregistry.names import REGISTRIES
from azsandbox.arm.resource_type import ResourceType


class Usages(ResourceType):
    """Microsoft.ContainerRegistry/registries/listUsages: a list only."""

    name = "registries/listUsages"
    stored = False

    async def list(self, call: Call) -> Answer:
        assert call.target is not None
        stored = call.arm.resources.get(call.target.owner)
        if stored is None:
            raise errors.resource_not_found(REGISTRIES, (call.target.names[-1],), call.group)
        content = call.arm.services.registries.contents.of(stored.private["content"])
        rules = len((stored.properties.get("networkRuleSet") or {}).get("ipRules") or [])
        used = {"Size": content.usage(), "IPRules": rules, "Geo-replications": 1}
        limits = read("registry-skus.json")["skus"][stored.body["sku"]["name"]]["usages"]
        return Answer(200, {"value": [{**row, "currentValue": used.get(row["name"], 0)} for row in limits]})
