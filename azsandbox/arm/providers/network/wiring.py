"""Route tables and NAT gateways: what a subnet's way out refers to."""

from __future__ import annotations

from azsandbox.arm.call import Call
from azsandbox.arm.providers.network.base import NetworkType, attached, refusal
from azsandbox.arm.resources import Document, Stored


class RouteTables(NetworkType):
    """Microsoft.Network/routeTables, routes inline."""

    name = "routeTables"
    tracked = True
    removal_rank = 95
    attached_by = "routeTable"

    async def check_delete(self, call: Call, current: Stored) -> None:
        if used := attached(call.arm, current.id, self.attached_by):
            raise refusal(
                "InUseRouteTableCannotBeDeleted",
                f"Route table {current.name} is in use and cannot be deleted. Used by: {used[0]['id']}.",
            )

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties = call.properties
        routes = [
            {
                "name": route.get("name"),
                "id": f"{call.id}/routes/{route.get('name')}",
                "type": f"{self.full_name}/routes",
                "properties": {
                    "provisioningState": "Succeeded",
                    "hasBgpOverride": False,
                    **(route.get("properties") or {}),
                },
            }
            for route in properties.get("routes") or []
        ]
        out: Document = {
            "resourceGuid": self.guid(current),
            "disableBgpRoutePropagation": bool(properties.get("disableBgpRoutePropagation")),
            "routes": routes,
        }
        return {"properties": out} | ({"tags": call.document["tags"]} if call.document.get("tags") else {})


class NatGateways(NetworkType):
    """Microsoft.Network/natGateways."""

    name = "natGateways"
    tracked = True
    zonal = True
    removal_rank = 95
    attached_by = "natGateway"

    async def check_delete(self, call: Call, current: Stored) -> None:
        if used := attached(call.arm, current.id, self.attached_by):
            raise refusal(
                "InUseNatGatewayCannotBeDeleted",
                f"Nat Gateway {current.id} cannot be deleted because it is in use by the following subnet(s): {used[0]['id']}.",
            )

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties = call.properties
        out: Document = {
            "resourceGuid": self.guid(current),
            "idleTimeoutInMinutes": properties.get("idleTimeoutInMinutes") or 4,
        }
        for key in ("publicIpAddresses", "publicIpPrefixes"):
            if properties.get(key):
                out[key] = properties[key]
        body: Document = {"properties": out}
        for key in ("tags", "zones"):
            if call.document.get(key):
                body[key] = call.document[key]
        sku = call.document.get("sku") or {}
        body["sku"] = {"name": sku.get("name") or "Standard", "tier": sku.get("tier") or "Regional"}
        return body
