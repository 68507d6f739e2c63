"""Which nodes a pod can go to: the filters, in kube-scheduler's order.

Order and texts: k8s.io/kubernetes, pkg/scheduler/apis/config/v1/default_plugins.go and framework/plugins.
"""

from __future__ import annotations

from collections.abc import Callable

from azsandbox.controllers.node_matching import NO_SCHEDULE, names_allowed, node_matches_pod, tolerated, untolerated
from azsandbox.controllers.scheduler.inter_pod_affinity import InterPodAffinity
from azsandbox.controllers.scheduler.results import Diagnosis, Rejection
from azsandbox.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from azsandbox.controllers.scheduler.spreading import Spreading
from azsandbox.controllers.scheduler.volumes import VolumeChecks

_UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_UNSCHEDULABLE = Rejection("NodeUnschedulable", ("node(s) were unschedulable",), unresolvable=True)
_NAME = Rejection("NodeName", ("node(s) didn't match the requested node name",), unresolvable=True)
_TAINTED = Rejection("TaintToleration", ("node(s) had untolerated taint(s)",), unresolvable=True)
_AFFINITY = Rejection("NodeAffinity", ("node(s) didn't match Pod's node affinity/selector",), unresolvable=True)
_CONFLICT = Rejection("NodeAffinity", ("pod affinity terms conflict",), unresolvable=True)
_NARROWED = Rejection("NodeAffinity", ("node(s) didn't satisfy plugin(s) [NodeAffinity]",), unresolvable=True)
_PORTS = Rejection("NodePorts", ("node(s) didn't have free ports for the requested pod ports",))
ANY_ADDRESS = "0.0.0.0"  # noqa: S104

Check = Callable[[NodeInfo], Rejection | None]


class Filters:
    """The filters for one pod in one cycle. `prepare` first; then `check` as many nodes as needed."""

    def __init__(
        self,
        pod: PodInfo,
        snapshot: Snapshot,
        volumes: VolumeChecks,
        namespace_labels: dict[str, dict[str, str]],
    ) -> None:
        self.pod, self.snapshot, self.volumes = pod, snapshot, volumes
        self._namespace_labels = namespace_labels
        self.only: set[str] | None = None
        self.spreading: Spreading | None = None
        self.affinity: InterPodAffinity | None = None
        self._checks: list[Check] = []

    def prepare(self) -> Rejection | None:
        """Works out what holds for every node; returns what refuses them all."""
        pod, nodes = self.pod, self.snapshot.nodes.values()
        self.only, contradiction = names_allowed(pod.spec)
        if contradiction:
            return _CONFLICT
        if pod.claims:
            problem = self.volumes.prepare()
            if problem is not None:
                return problem
        self.spreading = Spreading(pod, nodes)
        self.affinity = InterPodAffinity(pod, nodes, self._namespace_labels)
        bears_cordon = tolerated(pod.tolerations, _UNSCHEDULABLE_TAINT)
        checks: list[Check] = []
        if not bears_cordon:
            checks.append(lambda node: _UNSCHEDULABLE if node.unschedulable else None)
        if pod.spec.get("nodeName"):
            checks.append(lambda node: None if node.name == pod.spec["nodeName"] else _NAME)
        checks.append(self._taints)
        if pod.spec.get("nodeSelector") or (pod.spec.get("affinity") or {}).get("nodeAffinity"):
            checks.append(lambda node: None if node_matches_pod(pod.spec, node.labels, node.name) else _AFFINITY)
        if pod.ports:
            checks.append(self._ports)
        checks.append(self._resources)
        if pod.claims:
            checks.append(self.volumes.check)
        if self.spreading.constraints:
            checks.append(self.spreading.check)
        if self.affinity.active:
            checks.append(self.affinity.check)
        self._checks = checks
        return None

    def check(self, node: NodeInfo) -> Rejection | None:
        """The first refusal of a node; None if the pod fits."""
        for check in self._checks:
            rejection = check(node)
            if rejection is not None:
                return rejection
        return None

    def feasible(self, diagnosis: Diagnosis, start: int, enough: int) -> list[NodeInfo]:
        """Nodes that the pod fits, from the `start`-th on and not more than `enough`; refusals go to `diagnosis`."""
        nodes = list(self.snapshot.nodes.values())
        if self.only is not None:
            nodes = [node for node in nodes if node.name in self.only]
            diagnosis.absent = _NARROWED
        found: list[NodeInfo] = []
        for index in range(len(nodes)):
            node = nodes[(start + index) % len(nodes)]
            rejection = self.check(node)
            if rejection is None:
                found.append(node)
                if len(found) >= enough:
                    break
            else:
                diagnosis.by_node[node.name] = rejection
        return found

    def add(self, pod: PodInfo, node: NodeInfo) -> None:
        """Supposes that `pod` is on `node`."""
        node.add(pod)
        self._moved(pod, node, 1)

    def remove(self, pod: PodInfo, node: NodeInfo) -> None:
        """Supposes that `pod` is not on `node` any more."""
        node.remove(pod)
        self._moved(pod, node, -1)

    def _moved(self, pod: PodInfo, node: NodeInfo, delta: int) -> None:
        if self.spreading is not None:
            self.spreading.move(pod, node, delta)
        if self.affinity is not None:
            self.affinity.move(pod, node, delta)

    def _taints(self, node: NodeInfo) -> Rejection | None:
        if node.taints and untolerated(self.pod.tolerations, node.taints, NO_SCHEDULE) is not None:
            return _TAINTED
        return None

    def _ports(self, node: NodeInfo) -> Rejection | None:
        for address, protocol, number in self.pod.ports:
            for taken_address, taken_protocol, taken in node.ports:
                if (taken, taken_protocol) == (number, protocol) and (
                    address == taken_address or ANY_ADDRESS in (address, taken_address)
                ):
                    return _PORTS
        return None

    def _resources(self, node: NodeInfo) -> Rejection | None:
        reasons: list[str] = []
        hopeless = False
        if len(node.pods) + 1 > node.max_pods:
            reasons.append("Too many pods")
        for name, asked in self.pod.requests.items():
            has = node.allocatable.get(name, 0)
            if asked > has - node.requested.get(name, 0):
                reasons.append(f"Insufficient {name}")
                hopeless = hopeless or asked > has
        return Rejection("NodeResourcesFit", tuple(reasons), hopeless) if reasons else None
