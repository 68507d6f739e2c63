"""What Microsoft.Network says of a location: usages against quota, and services that subnets can be delegated to."""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.resource_type import ResourceType


def location(call: Call) -> str:
    """The location in the path. Raises LocationNotAvailable… for an unknown one."""
    assert call.target is not None
    name = call.arm.facts.location(call.target.names[0])
    if name not in call.arm.facts.locations:
        raise errors.location_not_available(name, "locations", list(call.arm.facts.locations))
    return name


class Usages(ResourceType):
    """GET …/locations/{l}/usages."""

    name = "locations/usages"
    stored = parent_stored = False

    async def list(self, call: Call) -> Answer:
        where = location(call)
        value = []
        for row in read("quotas.json")["network"]:
            count = sum(
                1
                for s in call.arm.resources.all(row["type"])
                if call.arm.facts.location(s.body.get("location", "")) == where
            )
            value.append(
                {
                    "currentValue": count,
                    "id": f"/subscriptions/{call.subscription}/providers/Microsoft.Network/locations/{where}/usages/{row['name']}",
                    "limit": row["limit"],
                    "name": {"localizedValue": row["text"], "value": row["name"]},
                    "unit": "Count",
                }
            )
        return call.page(value)


class AvailableDelegations(ResourceType):
    """GET …/locations/{l}/availableDelegations."""

    name = "locations/availableDelegations"
    stored = parent_stored = False

    async def list(self, call: Call) -> Answer:
        where = location(call)
        base = f"/subscriptions/{call.subscription}/providers/Microsoft.Network/locations/{where}/availableDelegations/"
        value = [
            {
                "name": service.replace("/", "."),
                "id": base + service.replace("/", "."),
                "type": "Microsoft.Network/availableDelegations",
                "serviceName": service,
                "actions": ["Microsoft.Network/virtualNetworks/subnets/action"],
            }
            for service in read("subnet-delegations.json")["services"]
        ]
        return call.page(value)
