"""What is read of the cluster, its pools, its network and its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

from labkit.checks.collector import Collector, Reader, bounded
from labkit.checks.core import Status, Unread
from labkit.checks.evidence import SYSTEM_NAMESPACES, Object, Problem, api_versions, cluster_path, network_of
from labkit.checks.lookup import at
from labkit.errors import ReadError


def read_cluster(collector: Collector) -> Object:
    evidence = collector.evidence
    path = cluster_path(evidence.subscription_id, evidence.settings)
    try:
        return collector.arm().get(path, api_versions()["managedClusters"])
    except ReadError as error:
        if not error.missing:
            raise
        settings = evidence.settings
        reason = f"there is no cluster {settings.cluster!r} in the group {settings.resource_group!r}"
        raise Unread(Status.SKIP, reason, path) from error


def read_maintenance(collector: Collector) -> list[Object]:
    path = f"{collector.cluster()['id']}/maintenanceConfigurations"
    return bounded(collector.arm().pages(path, api_versions()["managedClusters"]), "maintenance configurations")


def read_versions(collector: Collector) -> list[Object]:
    location = at(collector.cluster(), "location") or collector.evidence.settings.region
    subscription = collector.evidence.subscription_id
    path = f"/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions"
    pages = collector.arm().pages(path, api_versions()["managedClusters"])
    return bounded(pages, "Kubernetes versions", ("version", "isPreview", "capabilities"))


def read_upgrade_profiles(collector: Collector) -> dict[str, Object]:
    profiles = {}
    base = collector.cluster()["id"]
    for pool in at(collector.cluster(), "properties.agentPoolProfiles") or []:
        path = f"{base}/agentPools/{pool['name']}/upgradeProfiles/default"
        profiles[str(pool["name"])] = collector.arm().get(path, api_versions()["managedClusters"])
    return profiles


def read_networks(collector: Collector) -> dict[str, Object]:
    """The networks of the pools' subnets and the lab's own, by lower-case id."""
    settings, subscription = collector.evidence.settings, collector.evidence.subscription_id
    lab = (
        f"/subscriptions/{subscription}/resourceGroups/{settings.resource_group}"
        f"/providers/Microsoft.Network/virtualNetworks/{settings.vnet}"
    )
    wanted = {lab.lower(): lab}
    cluster = collector.want("cluster")
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
            found[low] = collector.arm().get(path, api_versions()["virtualNetworks"])
        except ReadError as error:
            if not error.missing:
                raise
    return found


def read_sizes(collector: Collector) -> dict[str, Object]:
    """What the region says of the sizes that the pools use: zones, and capabilities by name."""
    location = at(collector.cluster(), "location") or collector.evidence.settings.region
    pools = at(collector.cluster(), "properties.agentPoolProfiles") or []
    wanted = {str(at(pool, "vmSize")).lower() for pool in pools}
    query = quote(f"location eq '{location}'")
    path = f"/subscriptions/{collector.evidence.subscription_id}/providers/Microsoft.Compute/skus?$filter={query}"
    found: dict[str, Object] = {}
    for page in collector.arm().pages(path, api_versions()["skus"]):
        for item in page:
            if item.get("resourceType") == "virtualMachines" and str(item.get("name")).lower() in wanted:
                found[str(item["name"]).lower()] = _size(item)
    return found


def read_nodes(collector: Collector) -> list[Object]:
    return bounded(collector.kubernetes().pages("/api/v1/nodes"), "nodes", keep=_node)


def read_leases(collector: Collector) -> dict[str, str]:
    """When each node last renewed its lease, by node name."""
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    leases = bounded(collector.kubernetes().pages(path), "leases", keep=_lease)
    return {lease["name"]: lease["renewTime"] for lease in leases}


def read_workloads(collector: Collector) -> list[Object]:
    """Deployments and DaemonSets of the namespaces that AKS keeps."""
    found: list[Object] = []
    for kind in ("deployments", "daemonsets"):
        for namespace in SYSTEM_NAMESPACES:
            path = f"/apis/apps/v1/namespaces/{namespace}/{kind}"
            found += bounded(collector.kubernetes().pages(path), kind, keep=partial(_workload, kind))
    return found


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


READERS: Mapping[str, Reader] = {
    "cluster": read_cluster,
    "maintenance": read_maintenance,
    "versions": read_versions,
    "upgrade-profiles": read_upgrade_profiles,
    "networks": read_networks,
    "sizes": read_sizes,
    "nodes": read_nodes,
    "leases": read_leases,
    "workloads": read_workloads,
}
"""Each source of the cluster itself, and how it is read."""
