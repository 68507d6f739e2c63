"""Microsoft.ContainerService/deploymentSafeguards: AKS's own assignment of its initiative of good practice to a cluster.

`default` on a cluster with the Azure Policy add-on. Warn audits and warns, Enforce denies; a policy assignment on the
cluster, whose name and parameters are in data/aks/policy/safeguards.json, carries it out. The one mutation of the
initiative stays Disabled, as that is the parameter's default and the sandbox has no mutation.
"""

from __future__ import annotations

import functools
import json
import uuid
from importlib import resources
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors as arm_errors
from azsandbox.arm.call import Call
from azsandbox.arm.operations import Work
from azsandbox.arm.policy import definitions
from azsandbox.arm.policy.built_in import ASSIGNMENTS, INITIATIVES
from azsandbox.arm.providers.authorization.policy_objects import metadata, system_data
from azsandbox.arm.providers.containerservice.base import CLUSTERS, AksType
from azsandbox.arm.providers.containerservice.errors import aks, invalid, missing, not_supported
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

LEVELS = ("Warn", "Enforce")
POD_SECURITY = ("Privileged", "Baseline", "Restricted")
WITH_POD_SECURITY = "2025-05"  # the api-versions that know podSecurityStandardsLevel
SECONDS = 20.0


@functools.cache
def facts() -> Document:
    """What is known of the safeguards."""
    text = resources.files("azsandbox").joinpath("data", "aks", "policy", "safeguards.json").read_text("utf-8")
    found: Document = json.loads(text)
    return found


class DeploymentSafeguards(AksType):
    """The safeguards of a cluster; there is one, `default`."""

    name = "deploymentSafeguards"
    extension = True

    def _cluster(self, call: Call) -> Stored:
        assert call.target is not None
        stored = call.arm.resources.get(call.target.scope)
        if stored is None:
            raise arm_errors.gateway(
                404, "ParentResourceNotFound", f"The managed cluster '{call.target.scope}' could not be found."
            )
        if stored.type.lower() != CLUSTERS.lower():
            raise invalid("resourceUri", "Deployment Safeguards are of managed clusters.")
        return stored

    async def accept(self, call: Call, current: Stored | None) -> Document:
        cluster, given = self._cluster(call), call.properties
        if call.id.name.lower() != "default":
            raise invalid("deploymentSafeguardsName", f"The name must be default, not {call.id.name}.")
        add_ons = cluster.properties.get("addonProfiles") or {}
        if not any(k.lower() == "azurepolicy" and v.get("enabled") for k, v in add_ons.items()):
            raise aks(
                400,
                "AzurePolicyAddonNotEnabled",
                "Deployment Safeguards need the Azure Policy add-on. Enable it first: az aks enable-addons --addons "
                f"azure-policy --name {cluster.name} --resource-group {cluster.resource_id.group}",
                target="addonProfiles.azurepolicy",
            )
        if not given.get("level"):
            raise missing("properties.level")
        out: Document = {"level": _one_of("properties.level", given["level"], LEVELS)}
        if given.get("excludedNamespaces") is not None:
            if not isinstance(given["excludedNamespaces"], list):
                raise invalid("properties.excludedNamespaces", "A list of names is expected.")
            out["excludedNamespaces"] = given["excludedNamespaces"]
        out["systemExcludedNamespaces"] = list(facts()["systemExcludedNamespaces"])
        pods = _one_of(
            "properties.podSecurityStandardsLevel", given.get("podSecurityStandardsLevel") or "Privileged", POD_SECURITY
        )
        if pods != "Privileged":
            raise not_supported(f"the Pod Security Standards level '{pods}' of Deployment Safeguards")
        out["podSecurityStandardsLevel"] = pods
        call.private["systemData"] = system_data(call, current)
        call.private["metadata"] = metadata(call, None, None)
        return {"properties": out}

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        return SECONDS

    def present(self, call: Call, stored: Stored) -> Document:
        body = {**stored.body, "id": self.aks_id(stored.id), "eTag": stored.etag}
        body["systemData"] = stored.private.get("systemData")
        if call.api_version < WITH_POD_SECURITY:
            body["properties"] = {k: v for k, v in body["properties"].items() if k != "podSecurityStandardsLevel"}
        return body

    async def perform(self, work: Work) -> None:
        """Writes, or takes away, the assignment on the cluster."""
        await super().perform(work)
        stored = work.resource
        if stored is not None and work.operation.kind != "delete":
            work.arm.resources.put(assignment(work.arm, stored))

    async def remove(self, arm: Arm, stored: Stored) -> None:
        arm.resources.delete(_assignment_id(stored))


def _assignment_id(stored: Stored) -> str:
    return f"{stored.resource_id.scope}/providers/{ASSIGNMENTS}/{facts()['assignment']}"


def assignment(arm: Arm, stored: Stored) -> Stored:
    """The policy assignment that safeguards stand for."""
    known, told, id_ = facts(), stored.properties, _assignment_id(stored)
    before = arm.resources.get(id_)
    level: Document = known["levels"][told["level"]]
    left_out = [*told["systemExcludedNamespaces"], *(told.get("excludedNamespaces") or [])]
    values = {**known["parameters"], "excludedNamespaces": left_out, **level}
    initiative = f"/providers/{INITIATIVES}/{known['initiative']}"
    found = definitions.find(arm, initiative)
    assert found is not None
    off = {*known["podSecurity"], *known["withoutMutation"]}
    silent = [
        m["policyDefinitionReferenceId"]
        for m in found["properties"]["policyDefinitions"]
        if m["policyDefinitionId"].rsplit("/", 1)[-1] in off
    ]
    properties: Document = {
        "displayName": found["properties"]["displayName"],
        "policyDefinitionId": initiative,
        "definitionVersion": definitions.major(found),
        "scope": stored.resource_id.scope,
        "notScopes": [],
        "parameters": {name: {"value": value} for name, value in values.items()},
        "metadata": stored.private["metadata"],
        "enforcementMode": "Default",
        "overrides": [
            {
                "kind": "policyEffect",
                "value": "Disabled",
                "selectors": [{"kind": "policyDefinitionReferenceId", "in": silent}],
            }
        ],
        "instanceId": before.properties["instanceId"] if before else str(uuid.uuid4()),
    }
    body = {"id": id_, "name": known["assignment"], "type": ASSIGNMENTS, "properties": properties}
    private = {"systemData": stored.private["systemData"]}
    return Stored(id_, ASSIGNMENTS, body, private, before.created if before else "")


def _one_of(parameter: str, value: Any, allowed: tuple[str, ...]) -> str:
    found = next((a for a in allowed if a.lower() == str(value).lower()), None)
    if found is None:
        raise invalid(parameter, f"{value} is not one of {', '.join(allowed)}.")
    return found
