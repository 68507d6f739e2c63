"""Microsoft.ContainerService: managed clusters, agent pools and what belongs to them.

Snapshots, fleets, OpenShift clusters and the like are refused by name (no type here, so the pipeline refuses them).
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.containerservice import node_resources
from azsandbox.arm.resources import COLLECTION

if TYPE_CHECKING:
    from azsandbox.arm.resource_type import ResourceType
    from azsandbox.cluster import Cluster


CLUSTERS = "Microsoft.ContainerService/managedClusters"
TYPES = (
    "managedClusters",
    "managedClusters/agentPools",
    "managedClusters/agentPools/machines",
    "managedClusters/agentPools/upgradeProfiles",
    "managedClusters/availableAgentPoolVersions",
    "managedClusters/commandResults",
    "managedClusters/maintenanceConfigurations",
    "managedClusters/outboundNetworkDependenciesEndpoints",
    "managedClusters/privateLinkResources",
    "managedClusters/upgradeProfiles",
    "locations/kubernetesVersions",
    "locations/nodeImageVersions",
    "locations/osOptions",
    "locations/usages",
)


class ContainerService(Provider):
    """The namespace Microsoft.ContainerService."""

    namespace = "Microsoft.ContainerService"

    def __init__(self) -> None:
        super().__init__([])
        self.late(_types, *TYPES)
        self.late(_safeguards, "deploymentSafeguards")

    def prepare(self, arm: Any) -> None:
        """Adds the types of the node resource group, and to every cluster Entra's access and the registries' images."""
        node_resources.add(arm)
        clusters = arm.services.clusters
        if clusters is not None:
            clusters.configure.append(lambda cluster: _attach(arm, cluster))

    async def run(self, arm: Any) -> None:
        """The cluster autoscaler, for all clusters that have it on."""
        with closing(arm.services.store.watch(COLLECTION)) as changes:
            while not arm.resources.all(CLUSTERS) and not changes.closed:
                await changes.next()
        from azsandbox.aks.autoscaler import run  # which a start need not wait for

        await run(arm)


def _types() -> list[ResourceType]:
    from azsandbox.arm.providers.containerservice import kubernetes_versions as places
    from azsandbox.arm.providers.containerservice import machines, upgrade_profiles
    from azsandbox.arm.providers.containerservice.agent_pools import AgentPools
    from azsandbox.arm.providers.containerservice.commands import CommandResults
    from azsandbox.arm.providers.containerservice.maintenance_configurations import MaintenanceConfigurations
    from azsandbox.arm.providers.containerservice.managed_clusters import ManagedClusters

    return [
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


def _safeguards() -> list[ResourceType]:
    from azsandbox.arm.providers.containerservice.deployment_safeguards import DeploymentSafeguards

    return [DeploymentSafeguards()]


def _attach(arm: Any, cluster: Cluster) -> None:
    from azsandbox.aks import access, registry_images
    from azsandbox.aks.identity import issuer, rotation
    from azsandbox.aks.identity import processes as identity
    from azsandbox.aks.policy import processes as policy

    for part in (access, registry_images, policy, issuer, identity, rotation):
        part.attach(arm, cluster)
