"""Checks of what runs: the nodes, and the workloads that AKS keeps on them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from labkit.checks.cluster_upgrades import virtual
from labkit.checks.core import Finding, failed, passed, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import least_replicas, system_workloads
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
FRESH = timedelta(minutes=5)
"""How old a node's sign of life may be: the kubelet reports its status at least every five minutes, if all is well,
and renews its lease every ten seconds (Kubernetes docs, "Node status")."""


@judges("cluster.nodes-ready", reads=("nodes",), also=("cluster", "leases"))
def nodes_ready(evidence: Evidence) -> Iterator[Finding]:
    """Each node is ready, shows signs of life, and is under no pressure; and there are as many as there should be."""
    nodes = [node for node in evidence.read("nodes") if not virtual(node)]
    if not nodes:
        yield failed("no nodes", "every node Ready", "the cluster has no nodes", evidence.cluster_id)
        return
    leases = evidence.maybe("leases") or {}
    found = [finding for node in nodes for finding in _node(evidence, node, leases)]
    yield from found
    if not found:
        yield passed(f"{len(nodes)} nodes Ready", "every node Ready", evidence.cluster_id)
    if evidence.maybe("cluster") is not None:
        yield from _counts(evidence, nodes)


def _node(evidence: Evidence, node: Object, leases: dict[str, str]) -> Iterator[Finding]:
    name, expected, object_id = node["name"], "Ready, under no pressure", f"nodes/{node['name']}"
    conditions = {item["type"]: item for item in node["conditions"]}
    state = conditions.get("Ready") or {}
    if state.get("status") != "True":
        why = state.get("message") or state.get("reason") or "it has never said that it is"
        yield failed(
            f"{name}: Ready {state.get('status', 'absent')}", expected, f"node {name} is not ready: {why}", object_id
        )
    elif not _fresh(evidence.now, state.get("lastHeartbeatTime"), leases.get(name)):
        yield failed(
            f"{name}: no sign of life", expected, f"node {name} has said nothing for more than 5 minutes", object_id
        )
    for pressure in PRESSURES:
        if (conditions.get(pressure) or {}).get("status") == "True":
            yield failed(f"{name}: {pressure}", expected, f"node {name} is under {pressure}", object_id)
    if node["unschedulable"]:
        yield warned(f"{name}: cordoned", expected, f"node {name} takes no new pods", object_id)


def _fresh(now: datetime, *moments: object) -> bool:
    """True if one of `moments` is recent; also when there is none, since then nothing speaks against it."""
    times = [datetime.fromisoformat(str(moment).replace("Z", "+00:00")) for moment in moments if moment]
    return not times or any(now - time <= FRESH for time in times)


def _counts(evidence: Evidence, nodes: list[Object]) -> Iterator[Finding]:
    for pool in evidence.pools:
        name, wanted = pool.get("name"), int(at(pool, "count") or 0)
        here = sum((node["labels"] or {}).get("kubernetes.azure.com/agentpool") == name for node in nodes)
        if here != wanted:
            observed = f"pool {name}: {here} nodes in Kubernetes, {wanted} in Azure"
            reason = f"pool {name} should have {wanted} nodes, and {here} have joined"
            yield failed(observed, f"{wanted} nodes", reason, evidence.pool_id(pool))


@judges("cluster.system-workloads", reads=("cluster", "workloads"))
def system_workloads_healthy(evidence: Evidence) -> Iterator[Finding]:
    """What AKS runs for the features that are on is there and available; extra workloads are no finding."""
    running = {(item["kind"], f"{item['namespace']}/{item['name']}"): item for item in evidence.read("workloads")}
    wanted = [workload for feature in features(evidence) for workload in system_workloads(feature)]
    found = 0
    for kind, name in wanted:
        if (kind, name) not in running:
            found += 1
            reason = f"AKS runs {name} for this cluster's features, and it is missing"
            yield failed(f"no {kind} {name}", f"{kind} {name}", reason, evidence.cluster_id)
    for (kind, name), item in running.items():
        least = max(int(item["wanted"]), least_replicas().get(name, 0))
        observed, expected = f"{kind} {name}: {item['ready']} of {least}", f"{least} ready"
        if item["ready"] < least:
            found += 1
            yield failed(observed, expected, f"{name} is not fully available", evidence.cluster_id)
    if not found:
        yield passed(f"{len(running)} workloads available", "all that the features need", evidence.cluster_id)


def features(evidence: Evidence) -> list[str]:
    """The features of the cluster that bring workloads, by the names in data/system-workloads.toml."""
    properties = evidence.cluster.get("properties") or {}
    network = at(properties, "networkProfile") or {}
    cilium = same(at(network, "networkDataplane"), "cilium")
    policy = str(at(network, "networkPolicy") or "").lower()
    switches = {
        "always": True,
        "overlay": same(at(network, "networkPluginMode"), "overlay") and same(at(network, "networkPlugin"), "azure"),
        "cilium": cilium,
        "kube-proxy": not cilium,
        "konnectivity": not is_on(at(properties, "apiServerAccessProfile.enableVnetIntegration")),
        "disk-driver": is_on(at(properties, "storageProfile.diskCSIDriver.enabled")),
        "file-driver": is_on(at(properties, "storageProfile.fileCSIDriver.enabled")),
        "calico": policy == "calico",
        "azure-policy-manager": policy == "azure",
        "workload-identity": is_on(at(properties, "securityProfile.workloadIdentity.enabled")),
        "azure-policy": is_on(at(properties, "addonProfiles.azurepolicy.enabled")),
        "key-vault": is_on(at(properties, "addonProfiles.azureKeyvaultSecretsProvider.enabled")),
        "container-insights": is_on(at(properties, "addonProfiles.omsagent.enabled")),
        "managed-prometheus": is_on(at(properties, "azureMonitorProfile.metrics.enabled")),
        "defender-sensor": is_on(at(properties, "securityProfile.defender.securityMonitoring.enabled")),
        "virtual-nodes": is_on(at(properties, "addonProfiles.aciConnectorLinux.enabled")),
        "keda": is_on(at(properties, "workloadAutoScalerProfile.keda.enabled")),
        "vertical-autoscaler": is_on(at(properties, "workloadAutoScalerProfile.verticalPodAutoscaler.enabled")),
    }
    return [feature for feature, on in switches.items() if on]
