"""Virtual networks, their usages, and whether an address is free."""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.ids import ResourceId
from azsandbox.arm.operations import Work
from azsandbox.arm.providers.network import addresses, subnets, use
from azsandbox.arm.providers.network.base import NAME, NetworkType, refusal
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

KEPT = ("dhcpOptions", "flowTimeoutInMinutes", "enableDdosProtection", "encryption", "privateEndpointVNetPolicies")
PASSED_OVER = (
    "provisioningState",
    "resourceGuid",
    "subnets",
    "virtualNetworkPeerings",
    "enableVmProtection",
    "addressSpace",
)


class VirtualNetworks(NetworkType):
    """Microsoft.Network/virtualNetworks. Subnets are resources of their own; answers show them inline."""

    name = "virtualNetworks"
    tracked = True
    removal_rank = 90  # after what has interfaces in it

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties = call.properties
        if properties.get("virtualNetworkPeerings"):
            raise errors.not_supported("virtual network peerings")
        if unknown := [k for k in properties if k not in (*KEPT, *PASSED_OVER) and properties[k] not in (None, [], {})]:
            raise errors.not_supported(f"the property '{unknown[0]}' of virtual networks")
        space = (properties.get("addressSpace") or {}).get("addressPrefixes") or []
        if not space:
            raise refusal(
                "InvalidRequestFormat",
                "Cannot parse the request.",
            )
        found = addresses.address_space(space, str(call.id))
        stored = call.arm.resources.children(call.id, subnets.TYPE) if current else []
        out: Document = {"resourceGuid": self.guid(current), "addressSpace": {"addressPrefixes": space}}
        for key in KEPT:
            if properties.get(key) is not None:
                out[key] = properties[key]
        out.setdefault("enableDdosProtection", False)
        wanted = properties.get("subnets")
        if wanted is not None:
            call.private["_subnets"] = self._subnets(call, wanted, stored, out)
        else:
            for one in stored:
                texts = [addresses.prefix(p, one.id) for p in subnets.prefixes(one.properties)]
                addresses.check_subnet(one.name, texts, found, [], call.id.name)
        return {"tags": call.document["tags"], "properties": out} if call.document.get("tags") else {"properties": out}

    def _subnets(
        self, call: Call, wanted: list[Any], stored: list[Stored], vnet: Document
    ) -> list[tuple[str, Document]]:
        """The inline subnets, each checked against the network and those before it."""
        out: list[tuple[str, Document]] = []
        body = {"name": call.id.name, "properties": vnet}
        before: list[Stored] = []
        for one in wanted:
            name = str((one or {}).get("name") or "")
            if not name:
                raise refusal("InvalidRequestFormat", "Cannot parse the request.")
            NAME.check(name)
            id_ = call.id.child("subnets", name)
            properties = subnets.accept(call.arm, id_, one.get("properties") or {}, body, before)
            before.append(Stored(str(id_), subnets.TYPE, {"properties": properties}))
            out.append((name, properties))
        names = {name.lower() for name, _ in out}
        for gone in stored:
            if gone.name.lower() not in names:
                use.check_unused(call.arm, gone.id)
        return out

    def written(self, call: Call, stored: Stored) -> None:
        wanted = stored.private.pop("_subnets", None)
        if wanted is None:
            return
        existing = {s.name.lower(): s for s in call.arm.resources.children(stored.id, subnets.TYPE)}
        for name, properties in wanted:
            old = existing.pop(name.lower(), None)
            id_ = old.id if old else str(stored.resource_id.child("subnets", name))
            state = old.state if old and old.state else "Updating"
            body = {
                "id": id_,
                "name": name,
                "type": subnets.TYPE,
                "properties": properties | {"provisioningState": state},
            }
            call.arm.resources.put(Stored(id_, subnets.TYPE, body))
        for gone in existing.values():
            call.arm.resources.delete(gone.id)
        call.arm.resources.put(stored)

    def completed(self, work: Work, stored: Stored) -> None:
        busy = {o.resource.lower() for o in work.arm.operations.below(stored.id)}
        for child in work.arm.resources.children(stored.id, subnets.TYPE):
            if child.state == "Updating" and child.id.lower() not in busy:
                child.properties["provisioningState"] = "Succeeded"
                work.arm.resources.put(child)

    def present(self, call: Call, stored: Stored) -> Document:
        body = super().present(call, stored)
        children = call.arm.resources.children(stored.id, subnets.TYPE)
        properties = dict(body["properties"])
        properties["subnets"] = [subnets.shown(call.arm, child, stored.etag) for child in children]
        properties["virtualNetworkPeerings"] = []
        body["properties"] = properties
        return body

    async def check_delete(self, call: Call, current: Stored) -> None:
        for child in call.arm.resources.children(current.id, subnets.TYPE):
            use.check_unused(call.arm, child.id)


class VirtualNetworkUsages(ResourceType):
    """GET …/usages: how full each subnet is."""

    name = "virtualNetworks/usages"
    stored = False

    async def list(self, call: Call) -> Answer:
        value = []
        for child in _children(self, call):
            limit = sum(addresses.usable(addresses.prefix(p, child.id)) for p in subnets.prefixes(child.properties))
            value.append(
                {
                    "currentValue": float(sum(count for _, count in use.ip_configurations(call.arm, child.id))),
                    "id": child.id,
                    "limit": float(limit),
                    "name": {"localizedValue": "Subnet size and usage", "value": "SubnetSpace"},
                    "unit": "Count",
                }
            )
        return call.page(value)


class CheckIPAddress(ResourceType):
    """GET …/CheckIPAddressAvailability?ipAddress=A."""

    name = "virtualNetworks/CheckIPAddressAvailability"
    stored = False

    async def list(self, call: Call) -> Answer:
        text = call.query.get("ipaddress", "")
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise refusal("InvalidIPAddressFormat", f"IP address {text} is not formatted correctly.") from None
        for child in _children(self, call):
            for one in subnets.prefixes(child.properties):
                network = addresses.prefix(one, child.id)
                if address in network:
                    count = sum(n for _, n in use.ip_configurations(call.arm, child.id))
                    taken = {network.network_address + addresses.RESERVED - 1 + i for i in range(count)}
                    if address not in taken and not addresses.reserved(address, network):
                        return Answer(200, {"available": True})
                    free = addresses.free(network, taken, 5)
                    return Answer(200, {"available": False, "availableIPAddresses": free})
        raise refusal(
            "PrivateIPAddressNotInAnySubnet",
            f"Private static IP address {text} does not belong to the range of any subnet in the virtual network.",
        )


def _children(type_: ResourceType, call: Call) -> list[Stored]:
    assert call.target is not None
    target = call.target
    parent = ResourceId(target.scope, target.namespace, target.types[:-1], target.names)
    if call.arm.resources.get(parent) is None:
        raise errors.resource_not_found("Microsoft.Network/virtualNetworks", parent.names, parent.group)
    return call.arm.resources.children(parent, subnets.TYPE)
