"""Network security groups: custom rules inline, and the six default rules."""

from __future__ import annotations

from typing import Any

from azsandbox.arm import ids
from azsandbox.arm.call import Call
from azsandbox.arm.providers.network import subnets
from azsandbox.arm.providers.network.base import NetworkType, reference, refusal
from azsandbox.arm.resources import Document, Stored

# name, description, priority, access, direction, source, destination (Azure: "Network security groups", default rules)
DEFAULT = (
    (
        "AllowVnetInBound",
        "Allow inbound traffic from all VMs in VNET",
        65000,
        "Allow",
        "Inbound",
        "VirtualNetwork",
        "VirtualNetwork",
    ),
    (
        "AllowAzureLoadBalancerInBound",
        "Allow inbound traffic from azure load balancer",
        65001,
        "Allow",
        "Inbound",
        "AzureLoadBalancer",
        "*",
    ),
    ("DenyAllInBound", "Deny all inbound traffic", 65500, "Deny", "Inbound", "*", "*"),
    (
        "AllowVnetOutBound",
        "Allow outbound traffic from all VMs to all VMs in VNET",
        65000,
        "Allow",
        "Outbound",
        "VirtualNetwork",
        "VirtualNetwork",
    ),
    (
        "AllowInternetOutBound",
        "Allow outbound traffic from all VMs to Internet",
        65001,
        "Allow",
        "Outbound",
        "*",
        "Internet",
    ),
    ("DenyAllOutBound", "Deny all outbound traffic", 65500, "Deny", "Outbound", "*", "*"),
)


class NetworkSecurityGroups(NetworkType):
    """Microsoft.Network/networkSecurityGroups."""

    name = "networkSecurityGroups"
    tracked = True
    removal_rank = 95
    attached_by = "networkSecurityGroup"

    def present(self, call: Call, stored: Stored) -> Document:
        out = super().present(call, stored)
        properties = dict(out["properties"])
        for kind in ("securityRules", "defaultSecurityRules"):
            properties[kind] = [{"name": r["name"], "id": r["id"], "etag": out["etag"], **r} for r in properties[kind]]
        return out | {"properties": properties}

    async def accept(self, call: Call, current: Stored | None) -> Document:
        rules = [self._rule(call, rule) for rule in call.properties.get("securityRules") or []]
        seen: dict[tuple[str, int], str] = {}
        for rule in rules:
            key = (rule["properties"]["direction"], rule["properties"]["priority"])
            if key in seen:
                raise refusal(
                    "SecurityRuleConflict",
                    f"Security rule {rule['name']} conflicts with rule {seen[key]}. Rules cannot have the same Priority and "
                    "Direction. To learn more, see aka.ms/nsgrules.",
                )
            seen[key] = rule["name"]
        out: Document = {
            "resourceGuid": self.guid(current),
            "securityRules": rules,
            "defaultSecurityRules": [self._default(call, row) for row in DEFAULT],
        }
        return {"properties": out} | ({"tags": call.document["tags"]} if call.document.get("tags") else {})

    def _rule(self, call: Call, rule: Document) -> Document:
        properties: Document = dict(rule.get("properties") or {})
        for key in ("priority", "direction", "access", "protocol"):
            if properties.get(key) is None:
                raise refusal(
                    "SecurityRuleParameterMissing",
                    f"Required security rule parameters are missing for security rule with Id: {call.id}/securityRules/{rule.get('name')}.",
                )
        if not 100 <= int(properties["priority"]) <= 4096:
            raise refusal(
                "SecurityRuleInvalidPriority",
                f"Security rule has invalid Priority. Value provided: {properties['priority']} Allowed range 100-4096.",
            )
        return self._shaped(call, str(rule.get("name")), "securityRules", properties)

    def _default(self, call: Call, row: tuple[Any, ...]) -> Document:
        name, description, priority, access, direction, source, destination = row
        properties = {
            "description": description,
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "access": access,
            "priority": priority,
            "direction": direction,
        }
        return self._shaped(call, name, "defaultSecurityRules", properties)

    def _shaped(self, call: Call, name: str, kind: str, properties: Document) -> Document:
        lists = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")
        filled = {key: properties.get(key) or [] for key in lists}
        return {
            "name": name,
            "id": f"{call.id}/{kind}/{name}",
            "type": f"{self.full_name}/{kind}",
            "properties": {**properties, "provisioningState": "Succeeded", **filled},
        }

    async def check_delete(self, call: Call, current: Stored) -> None:
        for subnet in call.arm.resources.all(subnets.TYPE):
            used = reference(subnet.properties.get("networkSecurityGroup"))
            if used and ids.same(used, current.id):
                raise refusal(
                    "InUseNetworkSecurityGroupCannotBeDeleted",
                    f"Network security group {current.id} cannot be deleted because it is in use by the following "
                    f"resources: {subnet.id}. In order to delete the Network security group, remove the association with "
                    "the resource(s). To learn how to do this, see aka.ms/deletensg.",
                )
