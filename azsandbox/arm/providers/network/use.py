"""What uses a subnet: the network interfaces of clusters' nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from azsandbox.arm import ids
from azsandbox.arm.providers.network.base import refusal

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resources import Stored

POOLS = "Microsoft.ContainerService/managedClusters/agentPools"


def ip_configurations(arm: Arm, subnet: str) -> Iterator[tuple[str, int]]:
    """For each node pool in the subnet, the id of its first node's IP configuration and how many nodes it has."""
    for pool in arm.resources.all(POOLS):
        where = pool.properties.get("vnetSubnetID")
        cluster = arm.resources.get(pool.resource_id.parent) if pool.resource_id.parent else None
        if where and cluster and ids.same(where, subnet):
            yield _configuration(cluster, pool), int(pool.properties.get("count") or 0)


def check_unused(arm: Arm, subnet: str) -> None:
    """Raises InUseSubnetCannotBeDeleted, naming what uses the subnet."""
    for configuration, _ in ip_configurations(arm, subnet):
        raise refusal(
            "InUseSubnetCannotBeDeleted",
            f"Subnet {subnet.rsplit('/', 1)[-1]} is in use by {configuration} and cannot be deleted. In order to delete "
            "the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.",
        )


def _configuration(cluster: Stored, pool: Stored) -> str:
    """The first node's interface, in the scale set that AKS makes for the pool."""
    scale_set = pool.private.get("scaleSet") or f"aks-{pool.name}-vmss"
    group = cluster.properties.get("nodeResourceGroup") or f"MC_{cluster.resource_id.group}_{cluster.name}"
    return (
        f"/subscriptions/{cluster.resource_id.subscription}/resourceGroups/{group}/providers/Microsoft.Compute/"
        f"virtualMachineScaleSets/{scale_set}/virtualMachines/0/networkInterfaces/{scale_set}/ipConfigurations/ipconfig1"
    )
