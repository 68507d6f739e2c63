"""Microsoft.ContainerService: managed clusters, agent pools and what belongs to them.

Snapshots, fleets, OpenShift clusters and the like are refused by name (no type here, so the pipeline refuses them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.containerservice import node_resources

if TYPE_CHECKING:
    from azsandbox.arm.resource_type import ResourceType
    from azsandbox.cluster import Cluster


class ContainerService(Provider):
    """The namespace Microsoft.ContainerService."""

    namespace = "Microsoft.ContainerService"

    def __init__(self) -> None:
        from azsandbox.arm.providers.containerservice import kubernetes_versions as places
        from azsandbox.arm.providers.containerservice import machines, upgrade_profiles
        from azsandbox.arm.providers.containerservice.agent_pools import AgentPools
        from azsandbox.arm.providers.containerservice.commands import CommandResults
        from azsandbox.arm.providers.containerservice.maintenance_configurations import MaintenanceConfigurations
        from azsandbox.arm.providers.containerservice.managed_clusters import ManagedClusters

        super().__init__(
            [
                ManagedClusters(),
                AgentPools(),
                MaintenanceConfigurations(),
                CommandResults(),
                upgrade_profiles.ClusterUpgradeProfiles(),
                upgrade_profiles.PoolUpgradeProfiles(),
                upgrade_profiles.AvailableVersions(),
                machines.Machines(),
                machines.PrivateLinkResources(),
                machines.OutboundEndpoints(),
                places.KubernetesVersions(),
                places.NodeImageVersions(),
                places.OsOptions(),
                places.LocationUsages(),
            ]
        )
        self.late(_safeguards, "deploymentSafeguards")

    def prepare(self, arm: Any) -> None:
        """Adds the types of the node resource group, and to every cluster Entra's access and the registries' images."""
        from azsandbox.aks import access
        from azsandbox.aks.policy import processes

        node_resources.add(arm)
        clusters = arm.services.clusters
        if clusters is not None:
            clusters.configure.append(lambda cluster: access.attach(arm, cluster))
            clusters.configure.append(lambda cluster: _attach_images(arm, cluster))
            clusters.configure.append(lambda cluster: processes.attach(arm, cluster))
            clusters.configure.append(lambda cluster: _attach_identity(arm, cluster))

    async def run(self, arm: Any) -> None:
        """The cluster autoscaler, for all clusters that have it on."""
        from azsandbox.aks.autoscaler import run

        await run(arm)


def _safeguards() -> list[ResourceType]:
    from azsandbox.arm.providers.containerservice.deployment_safeguards import DeploymentSafeguards

    return [DeploymentSafeguards()]


def _attach_images(arm: Any, cluster: Cluster) -> None:
    from azsandbox.aks.registry_images import attach  # the registries' code, which a start need not wait for

    attach(arm, cluster)


def _attach_identity(arm: Any, cluster: Cluster) -> None:
    from azsandbox.aks.identity import issuer, processes, rotation  # nor for these

    for part in (issuer, processes, rotation):
        part.attach(arm, cluster)
