"""The node resource group MC_…: made by AKS, managed by the cluster, with what one sees in it in Azure."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from azsandbox.aks import machines
from azsandbox.arm import ids
from azsandbox.arm.resources import Document, Stored

VMSS = "Microsoft.Compute/virtualMachineScaleSets"
BALANCER = "Microsoft.Network/loadBalancers"
ADDRESS = "Microsoft.Network/publicIPAddresses"
SECURITY = "Microsoft.Network/networkSecurityGroups"
ROUTES = "Microsoft.Network/routeTables"
NETWORK = "Microsoft.Network/virtualNetworks"
SUBNET = f"{NETWORK}/subnets"
OWN_RANGE, OWN_SUBNET = "10.224.0.0/12", "10.224.0.0/16"


def group_id(stored: Stored) -> str:
    """Id of the node resource group of a cluster."""
    return str(ids.group(stored.resource_id.subscription or "", stored.properties["nodeResourceGroup"]))


def suffix(stored: Stored) -> str:
    """Eight digits that follow from the cluster."""
    return machines.suffix(stored.properties["resourceUID"], "")


def ensure(arm: Any, stored: Stored) -> None:
    """Makes the group and what is in it. What is there stays as it is."""
    location = stored.body["location"]
    group = group_id(stored)
    tags = {
        "aks-managed-cluster-name": stored.name,
        "aks-managed-cluster-rg": stored.resource_id.group or "",
    }
    if arm.resources.get(group) is None:
        body = {
            "id": group,
            "name": stored.properties["nodeResourceGroup"],
            "type": "Microsoft.Resources/resourceGroups",
            "location": location,
            "managedBy": stored.id,
            "tags": tags,
            "properties": {"provisioningState": "Succeeded"},
        }
        arm.resources.put(Stored(group, ids.GROUPS, body))
    profile = stored.properties["networkProfile"]
    own_network = not any(p.properties.get("vnetSubnetID") for p in _pools(arm, stored))
    digits = suffix(stored)
    if profile["outboundType"] == "loadBalancer":
        _balancer(arm, stored, group, location)
    _put(arm, group, SECURITY, f"aks-agentpool-{digits}-nsg", location, {"securityRules": []})
    if profile["networkPlugin"] == "kubenet":
        _put(arm, group, ROUTES, f"aks-agentpool-{digits}-routetable", location, {"routes": []})
    if own_network:
        properties = {"addressSpace": {"addressPrefixes": [OWN_RANGE]}, "subnets": []}
        network = _put(arm, group, NETWORK, f"aks-vnet-{digits}", location, properties)
        subnet = f"{network}/subnets/aks-subnet"
        if arm.resources.get(subnet) is None:
            properties = {"addressPrefix": OWN_SUBNET, "delegations": [], "provisioningState": "Succeeded"}
            body = {"id": subnet, "name": "aks-subnet", "type": SUBNET, "properties": properties}
            arm.resources.put(Stored(subnet, SUBNET, body))


def show_pool(arm: Any, stored: Stored, pool: Stored) -> None:
    """Makes the scale set of a pool, or brings its capacity up to date."""
    group = group_id(stored)
    name = pool.private["scaleSet"]
    own = pool.properties
    id_ = f"{group}/providers/{VMSS}/{name}"
    capacity = len(pool.private["machines"])
    found = arm.resources.get(id_)
    if found is not None and found.body["sku"]["capacity"] == capacity:
        return
    body: Document = {
        "id": id_,
        "name": name,
        "type": VMSS,
        "location": stored.body["location"],
        "sku": {"name": own["vmSize"], "tier": "Standard", "capacity": capacity},
        "tags": {"aks-managed-poolName": pool.name, "aks-managed-orchestrator": own["currentOrchestratorVersion"]},
        "properties": {"provisioningState": "Succeeded", "orchestrationMode": "Uniform", "overprovision": False},
    }
    if own.get("availabilityZones"):
        body["zones"] = own["availabilityZones"]
    arm.resources.put(Stored(id_, VMSS, body))


def hide_pool(arm: Any, stored: Stored, pool: Stored) -> None:
    """Takes the scale set of a pool away."""
    arm.resources.delete(f"{group_id(stored)}/providers/{VMSS}/{pool.private['scaleSet']}")


def remove(arm: Any, stored: Stored) -> None:
    """Deletes the group and everything in it."""
    arm.resources.delete(group_id(stored))


def _pools(arm: Any, stored: Stored) -> list[Stored]:
    found: list[Stored] = arm.resources.children(stored.id, f"{stored.type}/agentPools")
    return found


def _balancer(arm: Any, stored: Stored, group: str, location: str) -> None:
    profile = stored.properties["networkProfile"]["loadBalancerProfile"]
    count = int((profile.get("managedOutboundIPs") or {}).get("count") or 0)
    uid = stored.properties["resourceUID"]
    configurations = []
    for number in range(count):
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uid}/outbound/{number}"))
        digest = hashlib.sha256(name.encode()).digest()
        properties = {
            "ipAddress": f"20.{digest[0]}.{digest[1]}.{digest[2]}",
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Static",
            "idleTimeoutInMinutes": 30,
        }
        tags = {"aks-managed-type": "aks-slb-managed-outbound-ip"}
        sku = {"name": "Standard", "tier": "Regional"}
        id_ = _put(arm, group, ADDRESS, name, location, properties, sku=sku, tags=tags)
        configurations.append({"name": name, "properties": {"publicIPAddress": {"id": id_}}})
    properties = {
        "frontendIPConfigurations": configurations,
        "backendAddressPools": [{"name": "aksOutboundBackendPool"}],
    }
    _put(arm, group, BALANCER, "kubernetes", location, properties, sku={"name": "Standard", "tier": "Regional"})


def _put(arm: Any, group: str, type_: str, name: str, location: str, properties: Document, **more: Any) -> str:
    id_ = f"{group}/providers/{type_}/{name}"
    if arm.resources.get(id_) is None:
        body = {"id": id_, "name": name, "type": type_, "location": location, **more}
        body["properties"] = {"provisioningState": "Succeeded", **properties}
        arm.resources.put(Stored(id_, type_, body))
    return id_
