"""Step 5: a tainted system pool and a user pool in place of the temporary one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.azure import network
from labkit.azure.clients import SUCCEEDED, Clients, settled, state
from labkit.checks.evidence import cluster_path
from labkit.settings import Pool, Settings

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import AgentPool


def body(subscription_id: str, settings: Settings, pool: Pool, mode: str) -> AgentPool:
    """A pool as the settings have it: autoscaled, spread over zones, ephemeral disks encrypted at the host."""
    from azure.mgmt.containerservice import models

    properties = models.AgentPoolManagedClusterAgentPoolProfileProperties(
        mode=mode,
        type_properties_type="VirtualMachineScaleSets",
        vm_size=pool.vm_size,
        count=max(1, pool.min_count),
        enable_auto_scaling=True,
        min_count=pool.min_count,
        max_count=pool.max_count,
        max_pods=pool.max_pods,
        os_type="Linux",
        os_disk_type="Ephemeral",
        os_disk_size_gb=pool.os_disk_gb,
        enable_encryption_at_host=True,
        availability_zones=pool.zones,
        node_taints=pool.taints or None,
        upgrade_settings=models.AgentPoolUpgradeSettings(max_surge=pool.max_surge),
        vnet_subnet_id=network.subnet_id(subscription_id, settings),
    )
    return models.AgentPool(properties=properties)


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the two pools are there and came up, and the temporary one is not."""
    path = f"{cluster_path(clients.subscription_id, settings)}/agentPools"
    there = {pool["name"]: state(pool) for pool in (clients.found(path, "managedClusters") or {}).get("value") or []}
    system, user, temporary = (there.get(name, "") for name in _names(settings))
    return system == user == SUCCEEDED and not temporary


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the pools that are not there or failed, then delete the temporary one: a cluster is never without a system pool."""
    pools = clients.containers.agent_pools
    for pool, mode in ((settings.system_pool, "System"), (settings.user_pool, "User")):
        if state(_settled(clients, settings, pool.name, wait)) != SUCCEEDED:
            poller = pools.begin_create_or_update(
                settings.resource_group,
                settings.cluster,
                pool.name,
                body(clients.subscription_id, settings, pool, mode),
            )
            wait(poller, f"Creating the {mode.lower()} pool {pool.name}")
    temporary = settings.temporary_pool.name
    if _settled(clients, settings, temporary, wait) is not None:
        deletion = pools.begin_delete(settings.resource_group, settings.cluster, temporary)
        wait(deletion, f"Deleting the pool {temporary}")


def _names(settings: Settings) -> tuple[str, str, str]:
    return settings.system_pool.name, settings.user_pool.name, settings.temporary_pool.name


def _settled(clients: Clients, settings: Settings, name: str, wait: Any) -> Any:
    read = clients.containers.agent_pools.get
    return settled(wait, f"Waiting for the pool {name}", read, settings.resource_group, settings.cluster, name)
