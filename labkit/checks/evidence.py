"""Reading what the checks need: once, a page at a time, and never more than was asked for.

`collect` is the only place where checks meet a network. It reads the sources that it is asked for and those that
they depend on, keeps of each object the fields that a check looks at, and notes for a source that it could not
read why: a refusal (401, 403) makes what depends on it unknown, never failed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from importlib import resources
from typing import Any
from urllib.parse import quote

from labkit.checks.core import Status, Unread
from labkit.checks.lookup import at, same
from labkit.errors import LabError, ReadError
from labkit.readers import Arm, Kubernetes
from labkit.settings import Settings

LIMIT = 20_000
"""Objects kept of one list; a cluster with more is reported as not known, rather than judged by a part."""

SYSTEM_NAMESPACES = ("kube-system", "calico-system", "tigera-operator", "gatekeeper-system")

Object = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Why a source was not read, and what that makes of the checks that need it."""

    status: Status
    reason: str
    object_id: str = ""
    next_command: str = ""


@dataclass
class Evidence:
    """What was read, beside what the lab's settings expect; all that a check may look at."""

    settings: Settings
    now: datetime
    profile: str = "modern"
    subscription_id: str = ""
    sources: dict[str, Any] = field(default_factory=dict)

    def read(self, source: str) -> Any:
        """What `source` holds. Raises Unread, which `core.run` turns into unknown or skip."""
        value = self.sources.get(source, Problem(Status.UNKNOWN, f"{source} was not read"))
        if isinstance(value, Problem):
            raise Unread(value.status, value.reason, value.object_id, value.next_command)
        return value

    def maybe(self, source: str) -> Any:
        """What `source` holds, or None if it could not be read: for evidence that only confirms."""
        value = self.sources.get(source)
        return None if isinstance(value, Problem) else value

    def problem(self, source: str) -> Problem | None:
        """Why `source` was not read, or None."""
        value = self.sources.get(source)
        return value if isinstance(value, Problem) else None

    @property
    def cluster(self) -> Object:
        """The managed cluster as Azure answers it."""
        found: Object = self.read("cluster")
        return found

    @property
    def pools(self) -> list[Object]:
        """The cluster's node pools."""
        return list(at(self.cluster, "properties.agentPoolProfiles") or [])

    @property
    def cluster_id(self) -> str:
        """Resource id of the cluster, from what was read or from the settings; without Azure, what it is called."""
        if not self.subscription_id:
            return self.settings.context or self.settings.cluster
        return str(at(self.maybe("cluster"), "id") or cluster_path(self.subscription_id, self.settings))

    def pool_id(self, pool: Object) -> str:
        """Resource id of a pool of the cluster."""
        return f"{self.cluster_id}/agentPools/{pool.get('name')}"

    @property
    def names(self) -> dict[str, str]:
        """What stands in a check's texts for <cluster>, <group> and the like."""
        return {
            "cluster": self.settings.cluster,
            "group": self.settings.resource_group,
            "region": self.settings.region,
            "vnet": self.settings.vnet,
            "subnet": self.settings.cluster_subnet,
            "aci-subnet": self.settings.aci_subnet,
            "system-pool": self.settings.system_pool.name,
            "user-pool": self.settings.user_pool.name,
        }


def cluster_path(subscription_id: str, settings: Settings) -> str:
    """Resource id of the lab's cluster."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}"
        f"/providers/Microsoft.ContainerService/managedClusters/{settings.cluster}"
    )


@cache
def api_versions() -> dict[str, str]:
    """The api-version to read each type with (data/api-versions.toml)."""
    text = resources.files("labkit").joinpath("data/api-versions.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["versions"])


def collect(
    sources: Iterable[str],
    settings: Settings,
    *,
    subscription_id: str = "",
    arm: Arm | None = None,
    kubernetes: Callable[[], Kubernetes] | None = None,
    now: datetime | None = None,
) -> Evidence:
    """Evidence from `sources` and what they depend on, each read once.

    `kubernetes` is called only if a source of the cluster's API is asked for; it may raise LabError, for example
    when nobody may fetch a kubeconfig. Nothing is raised for a source that cannot be read.
    """
    evidence = Evidence(settings, now or datetime.now(UTC), settings.profile, subscription_id)
    collector = _Collector(evidence, arm, kubernetes)
    for source in sources:
        collector.want(source)
    return evidence


class _Collector:
    """Reads each source at most once, with what it depends on first."""

    def __init__(self, evidence: Evidence, arm: Arm | None, kubernetes: Callable[[], Kubernetes] | None) -> None:
        self._evidence = evidence
        self._arm = arm
        self._kubernetes = kubernetes
        self._client: Kubernetes | None = None
        self._no_client: Problem | None = None

    def want(self, source: str) -> Any:
        """What `source` holds, or the Problem; reads it the first time."""
        kept = self._evidence.sources
        if source not in kept:
            try:
                kept[source] = READERS[source](self)
            except ReadError as error:
                kept[source] = _problem(source, error)
            except Unread as unread:
                kept[source] = Problem(unread.status, unread.reason, unread.object_id, unread.next_command)
            except LabError as error:
                reason = f"{source} was not read: {error.message}"
                kept[source] = Problem(Status.UNKNOWN, reason, next_command=error.next_command)
        return kept[source]

    def arm(self) -> Arm:
        if self._arm is None:
            raise Unread(
                Status.UNKNOWN, "this target gives Kubernetes to read, and not Azure", next_command="labkit use aks"
            )
        return self._arm

    def cluster(self) -> Object:
        """The cluster; raises Unread for what depends on it when there is none."""
        found = self.want("cluster")
        if not isinstance(found, Problem):
            return dict(found)
        raise Unread(found.status, found.reason, found.object_id, found.next_command)

    def kubernetes(self) -> Kubernetes:
        """The API server's reader; a cluster that is stopped, or not there, is skipped."""
        if self._arm is not None:
            cluster = self.cluster()
            if same(at(cluster, "properties.powerState.code"), "Stopped"):
                raise Unread(Status.SKIP, "the cluster is stopped, so its Kubernetes API does not answer")
        if self._kubernetes is None:
            raise Unread(Status.UNKNOWN, "this target gives no Kubernetes API to read")
        if self._client is None:
            self._client = self._kubernetes()
        return self._client

    def read_cluster(self) -> Object:
        evidence = self._evidence
        path = cluster_path(evidence.subscription_id, evidence.settings)
        try:
            return self.arm().get(path, api_versions()["managedClusters"])
        except ReadError as error:
            if not error.missing:
                raise
            settings = evidence.settings
            reason = f"there is no cluster {settings.cluster!r} in the group {settings.resource_group!r}"
            raise Unread(Status.SKIP, reason, path) from error

    def read_maintenance(self) -> list[Object]:
        path = f"{self.cluster()['id']}/maintenanceConfigurations"
        return _bounded(self.arm().pages(path, api_versions()["managedClusters"]), "maintenance configurations")

    def read_versions(self) -> list[Object]:
        location = at(self.cluster(), "location") or self._evidence.settings.region
        subscription = self._evidence.subscription_id
        path = f"/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions"
        pages = self.arm().pages(path, api_versions()["managedClusters"])
        return _bounded(pages, "Kubernetes versions", ("version", "isPreview", "capabilities"))

    def read_upgrade_profiles(self) -> dict[str, Object]:
        profiles = {}
        base = self.cluster()["id"]
        for pool in at(self.cluster(), "properties.agentPoolProfiles") or []:
            path = f"{base}/agentPools/{pool['name']}/upgradeProfiles/default"
            profiles[str(pool["name"])] = self.arm().get(path, api_versions()["managedClusters"])
        return profiles

    def read_networks(self) -> dict[str, Object]:
        """The networks of the pools' subnets and the lab's own, by lower-case id."""
        settings, subscription = self._evidence.settings, self._evidence.subscription_id
        lab = (
            f"/subscriptions/{subscription}/resourceGroups/{settings.resource_group}"
            f"/providers/Microsoft.Network/virtualNetworks/{settings.vnet}"
        )
        wanted = {lab.lower(): lab}
        cluster = self.want("cluster")
        # Before the cluster there is a network already, which lesson 11 looks at.
        if isinstance(cluster, Problem) and cluster.status is not Status.SKIP:
            raise Unread(cluster.status, cluster.reason, cluster.object_id, cluster.next_command)
        pools = [] if isinstance(cluster, Problem) else at(cluster, "properties.agentPoolProfiles") or []
        for pool in pools:
            for key in ("vnetSubnetID", "podSubnetID"):
                network = network_of(at(pool, key))
                if network:
                    wanted[network.lower()] = network
        found = {}
        for low, path in wanted.items():
            try:
                found[low] = self.arm().get(path, api_versions()["virtualNetworks"])
            except ReadError as error:
                if not error.missing:
                    raise
        return found

    def read_sizes(self) -> dict[str, Object]:
        """What the region says of the sizes that the pools use: zones, and capabilities by name."""
        location = at(self.cluster(), "location") or self._evidence.settings.region
        pools = at(self.cluster(), "properties.agentPoolProfiles") or []
        wanted = {str(at(pool, "vmSize")).lower() for pool in pools}
        query = quote(f"location eq '{location}'")
        path = f"/subscriptions/{self._evidence.subscription_id}/providers/Microsoft.Compute/skus?$filter={query}"
        found: dict[str, Object] = {}
        for page in self.arm().pages(path, api_versions()["skus"]):
            for item in page:
                if item.get("resourceType") == "virtualMachines" and str(item.get("name")).lower() in wanted:
                    found[str(item["name"]).lower()] = _size(item)
        return found

    def read_nodes(self) -> list[Object]:
        return _bounded(self.kubernetes().pages("/api/v1/nodes"), "nodes", keep=_node)

    def read_leases(self) -> dict[str, str]:
        """When each node last renewed its lease, by node name."""
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        leases = _bounded(self.kubernetes().pages(path), "leases", keep=_lease)
        return {lease["name"]: lease["renewTime"] for lease in leases}

    def read_workloads(self) -> list[Object]:
        """Deployments and DaemonSets of the namespaces that AKS keeps."""
        found: list[Object] = []
        for kind in ("deployments", "daemonsets"):
            for namespace in SYSTEM_NAMESPACES:
                path = f"/apis/apps/v1/namespaces/{namespace}/{kind}"
                found += _bounded(self.kubernetes().pages(path), kind, keep=partial(_workload, kind))
        return found


READERS: Mapping[str, Callable[[_Collector], Any]] = {
    "cluster": _Collector.read_cluster,
    "maintenance": _Collector.read_maintenance,
    "versions": _Collector.read_versions,
    "upgrade-profiles": _Collector.read_upgrade_profiles,
    "networks": _Collector.read_networks,
    "sizes": _Collector.read_sizes,
    "nodes": _Collector.read_nodes,
    "leases": _Collector.read_leases,
    "workloads": _Collector.read_workloads,
}
"""Every source that a check may name, and how it is read."""


def _problem(source: str, error: ReadError) -> Problem:
    if error.code == "Unauthenticated":
        return Problem(Status.UNKNOWN, f"{source} was not read: {error.message}", next_command=error.next_command)
    if error.denied:
        ask = "ask for the role Reader on the resource group (for Kubernetes: RBAC Reader on the cluster), and check again"
        return Problem(Status.UNKNOWN, f"you may not read {source}: {error.message}", next_command=ask)
    again = error.next_command or "labkit status"
    return Problem(Status.UNKNOWN, f"{source} could not be read: {error.message}", next_command=again)


def _bounded(
    pages: Iterator[list[Object]],
    what: str,
    names: tuple[str, ...] = (),
    keep: Callable[[Object], Object] | None = None,
) -> list[Object]:
    """The items of `pages`, each cut down to what a check looks at. Raises Unread past LIMIT."""
    kept: list[Object] = []
    for page in pages:
        for item in page:
            if len(kept) >= LIMIT:
                raise Unread(Status.UNKNOWN, f"there are more than {LIMIT} {what}; the checks keep no more in memory")
            kept.append(keep(item) if keep else {key: item[key] for key in names if key in item} if names else item)
    return kept


def network_of(subnet_id: object) -> str:
    """Resource id of the network that a subnet is in, or empty."""
    text = str(subnet_id or "")
    position = text.lower().find("/subnets/")
    return text[:position] if position > 0 else ""


def _node(item: Object) -> Object:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    conditions = [
        {key: condition.get(key) for key in ("type", "status", "lastHeartbeatTime", "reason", "message")}
        for condition in status.get("conditions") or []
    ]
    metadata = item.get("metadata") or {}
    return {
        "name": metadata.get("name", ""),
        "labels": metadata.get("labels") or {},
        "taints": spec.get("taints") or [],
        "unschedulable": bool(spec.get("unschedulable")),
        "conditions": conditions,
        "capacity": {key: (status.get("capacity") or {}).get(key) for key in ("cpu", "memory")},
        "nodeInfo": {
            key: (status.get("nodeInfo") or {}).get(key)
            for key in ("kubeletVersion", "osImage", "containerRuntimeVersion")
        },
    }


def _lease(item: Object) -> Object:
    return {
        "name": (item.get("metadata") or {}).get("name", ""),
        "renewTime": (item.get("spec") or {}).get("renewTime") or "",
    }


def _workload(kind: str, item: Object) -> Object:
    metadata, spec, status = item.get("metadata") or {}, item.get("spec") or {}, item.get("status") or {}
    deployment = kind == "deployments"
    wanted = spec.get("replicas", 1) if deployment else status.get("desiredNumberScheduled", 0)
    ready = status.get("availableReplicas") if deployment else status.get("numberReady")
    return {
        "kind": "Deployment" if deployment else "DaemonSet",
        "namespace": metadata.get("namespace", ""),
        "name": metadata.get("name", ""),
        "wanted": wanted or 0,
        "ready": ready or 0,
    }


def _size(item: Object) -> Object:
    zones: list[str] = []
    for info in item.get("locationInfo") or []:
        zones += info.get("zones") or []
    capabilities = {entry.get("name"): entry.get("value") for entry in item.get("capabilities") or []}
    return {"zones": sorted(set(zones)), "capabilities": capabilities}
