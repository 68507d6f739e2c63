"""What a cluster or a pool may be upgraded to, and the versions that a new pool may have."""

from __future__ import annotations

from azsandbox.aks import facts, images, versions
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.providers.containerservice.agent_pools import pools_of, upgrades_of
from azsandbox.arm.providers.containerservice.base import CLUSTERS, AksType
from azsandbox.arm.providers.containerservice.errors import not_supported


class ReadOnly(AksType):
    """A type that is only read, and worked out from its parent."""

    stored = parent_stored = False
    has_state = False

    async def put(self, call: Call) -> Answer:
        raise not_supported(f"PUT of {self.full_name}")

    async def delete(self, call: Call) -> Answer:
        raise not_supported(f"DELETE of {self.full_name}")


def _default_only(call: Call, type_: AksType) -> None:
    if call.id.name.lower() != "default":
        raise type_.not_found(call)


class ClusterUpgradeProfiles(ReadOnly):
    """GET managedClusters/{c}/upgradeProfiles/default."""

    name = "managedClusters/upgradeProfiles"

    async def get(self, call: Call) -> Answer:
        _default_only(call, self)
        cluster = self.parent_cluster(call)
        own = cluster.properties
        current = own["currentKubernetesVersion"]
        plan = own["supportPlan"]
        offers = [{"kubernetesVersion": v} for v in versions.upgrades(current, plan)]
        pools = []
        for pool in pools_of(call.arm, cluster):
            entry = {
                "kubernetesVersion": pool.properties["currentOrchestratorVersion"],
                "name": pool.name,
                "osType": pool.properties["osType"],
            }
            found = [{"kubernetesVersion": v} for v in upgrades_of(pool.properties, current)]
            pools.append({**entry, **({"upgrades": found} if found else {})})
        control = {"kubernetesVersion": current, "osType": "Linux", **({"upgrades": offers} if offers else {})}
        return Answer(
            200,
            {
                "id": f"{self.aks_id(cluster.id)}/upgradeprofiles/default",
                "name": "default",
                "type": f"{CLUSTERS}/upgradeprofiles",
                "properties": {"controlPlaneProfile": control, "agentPoolProfiles": pools},
            },
        )

    async def list(self, call: Call) -> Answer:
        raise not_supported("the list of upgrade profiles (GET …/upgradeProfiles/default)")


class PoolUpgradeProfiles(ReadOnly):
    """GET …/agentPools/{p}/upgradeProfiles/default."""

    name = "managedClusters/agentPools/upgradeProfiles"

    async def get(self, call: Call) -> Answer:
        _default_only(call, self)
        cluster = self.parent_cluster(call)
        parent = call.id.parent
        pool = call.arm.resources.get(parent) if parent else None
        if pool is None:
            assert parent is not None
            raise self.parent_missing(call, parent)
        own = pool.properties
        offers = upgrades_of(own, cluster.properties["currentKubernetesVersion"])
        properties = {
            "kubernetesVersion": own["currentOrchestratorVersion"],
            "osType": own["osType"],
            "latestNodeImageVersion": images.latest(own["osSKU"], own["currentOrchestratorVersion"]),
        }
        if offers:
            properties["upgrades"] = [{"kubernetesVersion": v} for v in offers]
        return Answer(
            200,
            {
                "id": f"{self.aks_id(pool.id)}/upgradeprofiles/default",
                "name": "default",
                "type": f"{CLUSTERS}/agentPools/upgradeProfiles",
                "properties": properties,
            },
        )

    async def list(self, call: Call) -> Answer:
        raise not_supported("the list of upgrade profiles (GET …/upgradeProfiles/default)")


class AvailableVersions(ReadOnly):
    """GET managedClusters/{c}/availableAgentPoolVersions/default, also without the name."""

    name = "managedClusters/availableAgentPoolVersions"

    async def get(self, call: Call) -> Answer:
        return self._answer(call)

    async def list(self, call: Call) -> Answer:
        return self._answer(call)

    def _answer(self, call: Call) -> Answer:
        cluster = self.parent_cluster(call)
        default = facts.read("kubernetes-versions")["default"]
        found = versions.pool_versions(cluster.properties["currentKubernetesVersion"])
        rows = [{"kubernetesVersion": v, **({"default": True} if versions.minor(v) == default else {})} for v in found]
        return Answer(
            200,
            {
                "id": f"{self.aks_id(cluster.id)}/availableagentpoolversions",
                "name": "default",
                "type": f"{CLUSTERS}/availableAgentpoolVersions",
                "properties": {"agentPoolVersions": rows},
            },
        )
