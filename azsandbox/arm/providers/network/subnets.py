"""Subnets: made by themselves or inline in a network, always addressable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.operations import Work
from azsandbox.arm.providers.network import addresses, use
from azsandbox.arm.providers.network.base import NetworkType, reference, refusal
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.ids import ResourceId
    from azsandbox.arm.provider import Arm

TYPE = "Microsoft.Network/virtualNetworks/subnets"
KEPT = (
    "networkSecurityGroup",
    "routeTable",
    "natGateway",
    "serviceEndpoints",
    "defaultOutboundAccess",
    "sharingScope",
    "serviceEndpointPolicies",
)
PASSED_OVER = (  # read-only, sent back by clients
    "provisioningState",
    "ipConfigurations",
    "purpose",
    "resourceNavigationLinks",
    "serviceAssociationLinks",
    "privateEndpoints",
    "ipConfigurationProfiles",
)
DELEGATION_ACTIONS = {
    "Microsoft.ContainerInstance/containerGroups": ["Microsoft.Network/virtualNetworks/subnets/action"],
    "Microsoft.ContainerService/managedClusters": ["Microsoft.Network/virtualNetworks/subnets/join/action"],
}


def prefixes(properties: Document) -> list[str]:
    """The prefixes of a subnet: addressPrefix, or addressPrefixes."""
    several = properties.get("addressPrefixes")
    return list(several) if several else [properties["addressPrefix"]] if properties.get("addressPrefix") else []


def accept(arm: Arm, id_: ResourceId, properties: Document, vnet: Document, others: list[Stored]) -> Document:
    """Validates a subnet against its network (its body) and neighbours; returns the properties to store."""
    texts = prefixes(properties)
    if not texts:
        raise refusal("InvalidRequestFormat", "Cannot parse the request.")
    space = [addresses.prefix(p, str(id_)) for p in vnet["properties"]["addressSpace"]["addressPrefixes"]]
    taken = [
        addresses.prefix(p, other.id)
        for other in others
        if not ids.same(other.id, str(id_))
        for p in prefixes(other.properties)
    ]
    found = [addresses.prefix(p, str(id_)) for p in texts]
    addresses.check_subnet(id_.name, found, space, taken, str(vnet["name"]))
    out: Document = {}
    for key in ("addressPrefix", "addressPrefixes"):
        if properties.get(key):
            out[key] = properties[key]
    for key in KEPT:
        if properties.get(key) is not None:
            out[key] = properties[key]
    for key in ("networkSecurityGroup", "routeTable", "natGateway"):
        wanted = reference(out.get(key))
        if wanted and arm.resources.get(wanted) is None:
            raise refusal(
                "InvalidResourceReference",
                f"Resource {wanted} referenced by resource {id_} was not found. Please make sure that the referenced "
                "resource exists, and that both resources are in the same region.",
            )
    out["delegations"] = _delegations(id_, properties.get("delegations") or [])
    out["privateEndpointNetworkPolicies"] = properties.get("privateEndpointNetworkPolicies") or "Disabled"
    out["privateLinkServiceNetworkPolicies"] = properties.get("privateLinkServiceNetworkPolicies") or "Enabled"
    known = {*out, *KEPT, *PASSED_OVER, "addressPrefix", "addressPrefixes"}
    if unknown := [k for k in properties if k not in known and properties[k] not in (None, [], {})]:
        raise errors.not_supported(f"the property '{unknown[0]}' of subnets")
    return out


def _delegations(id_: ResourceId, wanted: list[Any]) -> list[Document]:
    known = {name.lower(): name for name in read("subnet-delegations.json")["services"]}
    out = []
    for one in wanted:
        service = str((one.get("properties") or {}).get("serviceName") or one.get("serviceName") or "")
        if service.lower() not in known:
            raise refusal(
                "InvalidServiceNameOnDelegation",
                f"The service name {service} on delegation {one.get('name')} of subnet {id_} is invalid.",
            )
        if len(wanted) > 1:
            raise refusal(
                "SubnetWithMultipleDelegations", f"Subnet {id_} can have only one delegation; {len(wanted)} were given."
            )
        name = str(one.get("name") or "0")
        actions = DELEGATION_ACTIONS.get(known[service.lower()], ["Microsoft.Network/virtualNetworks/subnets/action"])
        out.append(
            {
                "name": name,
                "id": f"{id_}/delegations/{name}",
                "type": f"{TYPE}/delegations",
                "properties": {
                    "provisioningState": "Succeeded",
                    "serviceName": known[service.lower()],
                    "actions": actions,
                },
            }
        )
    return out


def shown(arm: Arm, stored: Stored, etag: str) -> Document:
    """A subnet as answered; its etag is its network's."""
    body: Document = {"name": stored.name, "id": stored.id, "etag": f'W/"{etag}"', "type": TYPE}
    body["properties"] = dict(stored.properties)
    used = list(use.ip_configurations(arm, stored.id))
    if used:
        body["properties"]["ipConfigurations"] = [{"id": configuration} for configuration, _ in used]
    return body


class Subnets(NetworkType):
    """Microsoft.Network/virtualNetworks/subnets."""

    name = "virtualNetworks/subnets"

    def present(self, call: Call, stored: Stored) -> Document:
        return shown(call.arm, stored, self._network(call.arm, stored).etag)

    def answer(self, call: Call, status: int, stored: Stored) -> Answer:
        answer = super().answer(call, status, stored)
        answer.headers["ETag"] = f'W/"{self._network(call.arm, stored).etag}"'
        return answer

    @staticmethod
    def _network(arm: Arm, stored: Stored) -> Stored:
        parent = stored.resource_id.parent
        found = arm.resources.get(parent) if parent else None
        assert found is not None
        return found

    async def accept(self, call: Call, current: Stored | None) -> Document:
        parent = call.id.parent
        assert parent is not None
        vnet = call.arm.resources.get(parent)
        assert vnet is not None
        others = call.arm.resources.children(parent, TYPE)
        properties = accept(call.arm, call.id, call.properties, vnet.body, others)
        if current and prefixes(current.properties) != prefixes(properties):
            used = next(iter(use.ip_configurations(call.arm, current.id)), None)
            if used:
                raise refusal("InUseSubnetCannotBeUpdated", f"Subnet {call.id.name} is in use and cannot be updated.")
        return {"properties": properties}

    def written(self, call: Call, stored: Stored) -> None:
        call.arm.resources.put(self._network(call.arm, stored))  # the network has a new etag too

    async def check_delete(self, call: Call, current: Stored) -> None:
        use.check_unused(call.arm, current.id)

    def ended(self, work: Work) -> None:
        super().ended(work)
        parent = ids.of(work.operation.resource).parent
        vnet = work.arm.resources.get(parent) if parent else None
        if vnet:
            work.arm.resources.put(vnet)
