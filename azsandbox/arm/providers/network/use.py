"""What uses a subnet: the network interfaces of clusters' nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from azsandbox.arm import ids
from azsandbox.arm.providers.network.base import refusal

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resources import Stored

CLUSTERS = "Microsoft.ContainerService/managedClusters"


def ip_configurations(arm: Arm, subnet: str) -> Iterator[tuple[str, int]]:
    """For each node pool in the subnet, the id of its first node's IP configuration and how many nodes it has."""
    for cluster in arm.resources.all(CLUSTERS):
        for pool in cluster.properties.get("agentPoolProfiles") or []:
            where = pool.get("vnetSubnetID")
            if where and ids.same(where, subnet):
                yield _configuration(cluster, str(pool["name"])), int(pool.get("count") or 0)


def check_unused(arm: Arm, subnet: str) -> None:
    """Raises InUseSubnetCannotBeDeleted, naming what uses the subnet."""
    for configuration, _ in ip_configurations(arm, subnet):
        raise refusal(
            "InUseSubnetCannotBeDeleted",
            f"Subnet {subnet.rsplit('/', 1)[-1]} is in use by {configuration} and cannot be deleted. In order to delete "
            "the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.",
        )


def _configuration(cluster: Stored, pool: str) -> str:
    """Scale sets are named aks-POOL-NUMBER-vmss; the number is the cluster's own."""
    number = cluster.private.get("scaleSetNumber") or int(hashlib.sha256(cluster.id.encode()).hexdigest(), 16) % 10**8
    scale_set = f"aks-{pool}-{str(number).zfill(8)}-vmss"
    group = cluster.properties.get("nodeResourceGroup") or f"MC_{cluster.resource_id.group}_{cluster.name}"
    return (
        f"/subscriptions/{cluster.resource_id.subscription}/resourceGroups/{group}/providers/Microsoft.Compute/"
        f"virtualMachineScaleSets/{scale_set}/virtualMachines/0/networkInterfaces/{scale_set}/ipConfigurations/ipconfig1"
    )
