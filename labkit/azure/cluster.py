"""Step 4: the managed cluster, born with a temporary system pool, and who may administer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.azure import network
from labkit.azure.clients import SUCCEEDED, Clients, settled, state, there
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import MaintenanceConfiguration, ManagedCluster
    from azure.mgmt.containerservice.models import ManagedClusterAgentPoolProfile as PoolProfile

MAINTENANCE = ("aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule")
"""Names that AKS reserves for the windows of Kubernetes and of node image upgrades (AKS docs, "Planned maintenance")."""

CLUSTER_ADMIN = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
"""Azure Kubernetes Service RBAC Cluster Admin (Azure built-in roles)."""


def temporary_pool(subscription_id: str, settings: Settings) -> PoolProfile:
    """One small system pool, which a cluster must be born with; lesson 13 replaces it."""
    from azure.mgmt.containerservice.models import ManagedClusterAgentPoolProfile

    return ManagedClusterAgentPoolProfile(
        name=settings.temporary_pool.name,
        mode="System",
        count=1,
        vm_size=settings.system_pool.vm_size,
        os_type="Linux",
        type="VirtualMachineScaleSets",
        max_pods=settings.system_pool.max_pods,
        vnet_subnet_id=network.subnet_id(subscription_id, settings),
    )


def body(
    subscription_id: str, tenant_id: str, settings: Settings, pools: Sequence[PoolProfile] | None = None
) -> ManagedCluster:
    """The cluster that the series asks for, with today's fields.

    `pools` are the pools that it has already, when it is written again; a new one gets the temporary pool.
    """
    from azure.mgmt.containerservice import models

    access = None
    if settings.authorized_ip_ranges:
        access = models.ManagedClusterAPIServerAccessProfile(authorized_ip_ranges=settings.authorized_ip_ranges)
    properties = models.ManagedClusterProperties(
        kubernetes_version=settings.kubernetes_version or None,
        dns_prefix=settings.cluster.replace("_", "-")[:54].strip("-"),
        enable_rbac=True,
        disable_local_accounts=settings.local_accounts_disabled,
        aad_profile=models.ManagedClusterAADProfile(
            managed=True,
            enable_azure_rbac=True,
            tenant_id=tenant_id,
            admin_group_object_i_ds=settings.admin_group_object_ids or None,
        ),
        network_profile=network_profile(settings),
        auto_upgrade_profile=models.ManagedClusterAutoUpgradeProfile(
            upgrade_channel=settings.upgrade_channel, node_os_upgrade_channel=settings.node_os_upgrade_channel
        ),
        api_server_access_profile=access,
        agent_pool_profiles=list(pools) if pools else [temporary_pool(subscription_id, settings)],
    )
    return models.ManagedCluster(
        location=settings.region,
        identity=models.ManagedClusterIdentity(type="SystemAssigned"),
        sku=models.ManagedClusterSKU(name="Base", tier=settings.tier),
        properties=properties,
    )


def network_profile(settings: Settings) -> Any:
    """Azure CNI with a policy engine, and ranges that do not collide."""
    from azure.mgmt.containerservice.models import ContainerServiceNetworkProfile

    overlay = settings.network_plugin_mode == "overlay"
    return ContainerServiceNetworkProfile(
        network_plugin="azure",
        network_plugin_mode="overlay" if overlay else None,
        network_policy=settings.network_policy,
        network_dataplane="cilium" if settings.network_policy == "cilium" else "azure",
        pod_cidr=settings.pod_cidr if overlay else None,
        service_cidr=settings.service_cidr,
        dns_service_ip=settings.dns_service_ip,
        load_balancer_sku="standard",
    )


def maintenance(settings: Settings) -> MaintenanceConfiguration:
    """A window of four hours on Sunday night, the least that AKS takes for planned upgrades."""
    from azure.mgmt.containerservice import models

    window = models.MaintenanceWindow(
        schedule=models.Schedule(weekly=models.WeeklySchedule(interval_weeks=1, day_of_week="Sunday")),
        duration_hours=4,
        utc_offset="+00:00",
        start_time="01:00",
    )
    return models.MaintenanceConfiguration(
        properties=models.MaintenanceConfigurationProperties(maintenance_window=window)
    )


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the cluster is there and came up, and no operation is on it."""
    return state(clients.found(scope(clients.subscription_id, settings), "managedClusters")) == SUCCEEDED


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the cluster if it is not there, its maintenance windows, and the signed-in person its administrator."""
    group, name = settings.resource_group, settings.cluster
    found = settled(wait, f"Waiting for the cluster {name}", clients.containers.managed_clusters.get, group, name)
    if state(found) != SUCCEEDED:
        pools = found.properties.agent_pool_profiles if found is not None else None
        tenant = str(_claims(clients).get("tid", ""))
        poller = clients.containers.managed_clusters.begin_create_or_update(
            group, name, body(clients.subscription_id, tenant, settings, pools)
        )
        wait(poller, f"Creating the cluster {settings.cluster}")
    for window in MAINTENANCE:
        configurations = clients.containers.maintenance_configurations
        if there(configurations.get, group, name, window) is None:
            configurations.create_or_update(group, name, window, maintenance(settings))
    administer(clients, settings)


def _claims(clients: Clients) -> dict[str, Any]:
    """Who is signed in, by the token that Azure Resource Manager is asked with."""
    from labkit.targets import ARM_SCOPE, token_claims

    return token_claims(clients.credential.get_token(ARM_SCOPE).token)


def kind_of_principal(clients: Clients) -> str:
    """What a role assignment calls whoever is signed in.

    Applications say so in the claim idtyp, people have none (Entra ID, "Access token claims reference").
    """
    return "ServicePrincipal" if _claims(clients).get("idtyp") == "app" else "User"


def scope(subscription_id: str, settings: Settings) -> str:
    """Resource id of the cluster."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}/providers"
        f"/Microsoft.ContainerService/managedClusters/{settings.cluster}"
    )


def administer(clients: Clients, settings: Settings) -> None:
    """Give whoever is signed in the role RBAC Cluster Admin on the cluster, unless they have it.

    With Azure RBAC for Kubernetes, who made a cluster is nobody in it (AKS docs, "Use Azure RBAC for Kubernetes
    authorization"); the name of the assignment follows from its parts, so that doing it again changes nothing.
    """
    import uuid

    from azure.core.exceptions import ResourceExistsError
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    if not clients.object_id:
        return
    where = scope(clients.subscription_id, settings)
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{where}/{CLUSTER_ADMIN}/{clients.object_id}".lower()))
    role = f"/subscriptions/{clients.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{CLUSTER_ADMIN}"
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=role, principal_id=clients.object_id, principal_type=kind_of_principal(clients)
    )
    try:
        clients.authorization.role_assignments.create(where, name, parameters)
    except ResourceExistsError:
        # The person has the role already, by an assignment with another name.
        return
