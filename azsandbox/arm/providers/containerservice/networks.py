"""A cluster in its virtual network: subnets that must exist, be large enough, and collide with no range."""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.aks import facts, machines
from azsandbox.arm import ids
from azsandbox.arm.call import Call
from azsandbox.arm.providers.containerservice.errors import aks, invalid
from azsandbox.arm.resources import Stored

Document = dict[str, Any]
RESERVED = 5  # addresses that Azure keeps in a subnet
ADMINISTRATIVE = ("azurefirewallsubnet", "gatewaysubnet", "azurebastionsubnet")


def prefixes(properties: Document) -> list[str]:
    """The ranges of a subnet."""
    return list(properties.get("addressPrefixes") or [properties["addressPrefix"]])


def most_nodes(pool: Document) -> int:
    """Nodes that a pool can have at most, without surge."""
    return int(pool["maxCount"] if pool["enableAutoScaling"] else pool["count"])


def surged(pool: Document) -> int:
    """Nodes that a pool can have at most while it is upgraded."""
    settings = pool.get("upgradeSettings") or {}
    surge = 0 if pool.get("scaleSetPriority") == "Spot" else machines.surge(most_nodes(pool), settings.get("maxSurge"))
    return most_nodes(pool) + surge


def subnet(call: Call, id_: str, parameter: str) -> Stored:
    """The subnet of that id. Raises what AKS says of one that is not there."""
    try:
        parsed = ids.of(id_)
    except ValueError:
        parsed = None
    if parsed is None or parsed.type.lower() != "microsoft.network/virtualnetworks/subnets":
        raise invalid(parameter, f"{id_} is not the resource ID of a subnet.")
    found = call.arm.resources.get(parsed)
    if found is None:
        raise aks(
            400,
            "InvalidResourceReference",
            f"Resource {id_} referenced by resource {call.id} was not found. Please make sure that the referenced "
            "resource exists, and that both resources are in the same region.",
            target=parameter,
        )
    return found


def check(call: Call, properties: Document, pools: list[Document], location: str) -> None:
    """Raises where pools and virtual networks do not go together. `pools` are all pools of the cluster, to be."""
    profile = properties["networkProfile"]
    _check_total(profile, pools)
    networks: dict[str, Stored] = {}
    used: dict[str, tuple[Stored, int]] = {}
    for pool in pools:
        id_ = pool.get("vnetSubnetID")
        if not id_:
            continue
        found = subnet(call, id_, "agentPoolProfile.vnetSubnetID")
        vnet = call.arm.resources.get(found.resource_id.parent or id_)
        assert vnet is not None
        networks[vnet.id.lower()] = vnet
        _check_usable(found, vnet, location)
        if pool.get("podSubnetID"):
            subnet(call, pool["podSubnetID"], "agentPoolProfile.podSubnetID")
        used[found.id.lower()] = (found, used.get(found.id.lower(), (found, 0))[1] + _addresses(profile, pool))
    if len(networks) > 1:
        raise invalid("agentPoolProfile.vnetSubnetID", "All node pools must be in the same virtual network.")
    if networks and any(not p.get("vnetSubnetID") for p in pools):
        raise invalid("agentPoolProfile.vnetSubnetID", "All or none of the node pools must set vnetSubnetID.")
    for vnet in networks.values():
        _check_ranges(profile, call.arm.resources.children(vnet.id, "Microsoft.Network/virtualNetworks/subnets"))
    for found, need in used.values():
        _check_size(found, need)


def _addresses(profile: Document, pool: Document) -> int:
    nodes = surged(pool)
    flat = (
        profile["networkPlugin"] == "azure"
        and profile.get("networkPluginMode") != "overlay"
        and not pool.get("podSubnetID")
    )
    return nodes * (pool["maxPods"] + 1) if flat else nodes


def _check_size(found: Stored, need: int) -> None:
    ranges = prefixes(found.properties)
    usable = sum(ipaddress.ip_network(p).num_addresses - RESERVED for p in ranges)
    if need > usable:
        raise aks(
            400,
            "InsufficientSubnetSize",
            f"Pre-allocated IPs {need} exceeds IPs available {usable} in Subnet Cidr {ranges[0]}, Subnet Name "
            f"{found.name}. If Autoscaler is enabled, the max-count from each nodepool is counted towards this total "
            "(which means that pre-allocated IPs count represents a theoretical max value, not the actual number of "
            "IPs requested). http://aka.ms/aks/insufficientsubnetsize",
            target="agentPoolProfile.vnetSubnetID",
        )


def _check_usable(found: Stored, vnet: Stored, location: str) -> None:
    delegations = [d["properties"]["serviceName"] for d in found.properties.get("delegations") or []]
    if delegations:
        raise aks(
            400,
            "SubnetIsDelegated",
            f"Subnet {found.id} is delegated to {', '.join(delegations)} and cannot be used for an agent pool.",
            target="agentPoolProfile.vnetSubnetID",
        )
    if found.name.lower() in ADMINISTRATIVE:
        raise invalid("agentPoolProfile.vnetSubnetID", f"Subnet {found.name} is reserved for another service.")
    if str(vnet.body.get("location", location)).lower() != location:
        raise aks(
            400,
            "InvalidResourceReference",
            f"The virtual network {vnet.id} is in location {vnet.body.get('location')}, but the managed cluster is in "
            f"location {location}. Both resources must be in the same region.",
            target="agentPoolProfile.vnetSubnetID",
        )


def _check_ranges(profile: Document, subnets: list[Stored]) -> None:
    for key, code, word in (
        ("serviceCidr", "ServiceCidrOverlapExistingSubnetsCidr", "service"),
        ("podCidr", "PodCidrOverlapExistingSubnetsCidr", "pod"),
    ):
        if key not in profile:
            continue
        own = ipaddress.ip_network(profile[key])
        for found in subnets:
            for text in prefixes(found.properties):
                if own.overlaps(ipaddress.ip_network(text)):
                    raise aks(
                        400,
                        code,
                        f"The specified {word} CIDR {profile[key]} is conflicted with an existing subnet CIDR {text}",
                        target=f"networkProfile.{key.replace('Cidr', 'CIDR')}",
                    )


def _check_total(profile: Document, pools: list[Document]) -> None:
    limits = facts.read("defaults")["nodeLimits"]
    total = sum(most_nodes(p) for p in pools)
    kubenet = profile["networkPlugin"] == "kubenet"
    limit = limits["kubenet"] if kubenet else limits["standard"]
    if total > limit:
        word = "Kubenet" if kubenet else "the cluster"
        raise aks(
            400,
            "ValidationError",
            f"Cluster's upper limit node count is {total} which exceeds the limit for {word} {limit}. If Autoscaler is "
            "enabled, the max-count from each nodepool is counted towards this total. Please see "
            "https://aka.ms/aks/quotas-skus-regions for more details.",
            subcode="KubenetNodeCountTotalExceedsLimit" if kubenet else "NodeCountTotalExceedsLimit",
        )
    if profile.get("networkPluginMode") == "overlay":
        room = 2 ** max(0, 24 - ipaddress.ip_network(profile["podCidr"]).prefixlen)
        if total > room:
            raise aks(
                400,
                "InsufficientPodCidr",
                f"The pod CIDR {profile['podCidr']} has room for {room} nodes of a /24 each, but the node pools can "
                f"have {total} nodes.",
                target="networkProfile.podCIDR",
            )
