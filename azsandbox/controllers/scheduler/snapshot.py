"""The scheduler's view of the cluster: each node with the pods on it, kept up as events come."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from azsandbox.controllers.client import Object
from azsandbox.controllers.scheduler.requests import Amounts, amounts, pod_requests
from azsandbox.kubernetes.selectors import LabelSelector, from_object

TERMINAL = ("Succeeded", "Failed")
Port = tuple[str, str, int]  # address, protocol, number


@dataclass(frozen=True)
class AffinityTerm:
    """A pod affinity term, ready to match."""

    selector: LabelSelector | None  # None matches no pod
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None
    topology_key: str
    weight: int = 0

    def matches(self, pod: PodInfo, namespace_labels: dict[str, dict[str, str]]) -> bool:
        """Whether `pod` is one that the term speaks of."""
        if self.selector is None:
            return False
        if pod.namespace not in self.namespaces:
            if self.namespace_selector is None:
                return False
            if not self.namespace_selector.matches_labels(namespace_labels.get(pod.namespace, {})):
                return False
        return self.selector.matches_labels(pod.labels)


def affinity_terms(pod: Object, kind: str, preferred: bool = False) -> tuple[AffinityTerm, ...]:
    """The terms of a pod's podAffinity or podAntiAffinity."""
    affinity = ((pod["spec"].get("affinity") or {}).get(kind)) or {}
    if preferred:
        found = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return tuple(_term(pod, entry["podAffinityTerm"], entry.get("weight", 0)) for entry in found)
    return tuple(_term(pod, term) for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ())


def _term(pod: Object, term: Object, weight: int = 0) -> AffinityTerm:
    names = term.get("namespaces") or ()
    selector = term.get("namespaceSelector")
    if not names and selector is None:
        names = (pod["metadata"]["namespace"],)
    return AffinityTerm(
        from_object(term["labelSelector"]) if term.get("labelSelector") is not None else None,
        frozenset(names),
        from_object(selector) if selector is not None else None,
        term["topologyKey"],
        weight,
    )


@dataclass(eq=False)
class PodInfo:
    """A pod with what the scheduler asks of it again and again."""

    pod: Object
    uid: str = field(init=False)
    namespace: str = field(init=False)
    name: str = field(init=False)
    labels: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        metadata = self.pod["metadata"]
        self.uid, self.namespace, self.name = metadata["uid"], metadata["namespace"], metadata["name"]
        self.labels = metadata.get("labels") or {}

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def spec(self) -> Object:
        spec: Object = self.pod["spec"]
        return spec

    @property
    def priority(self) -> int:
        return int(self.pod["spec"].get("priority") or 0)

    @property
    def terminating(self) -> bool:
        return bool(self.pod["metadata"].get("deletionTimestamp"))

    @property
    def start(self) -> str:
        """When it started; a pod that has not started yet is the latest of all."""
        return str((self.pod.get("status") or {}).get("startTime") or "9999")

    @cached_property
    def requests(self) -> Amounts:
        return {name: value for name, value in pod_requests(self.spec).items() if value}

    @cached_property
    def assumed_requests(self) -> tuple[int, int]:
        """CPU and memory as scores count them."""
        found = pod_requests(self.spec, assumed=True)
        return found.get("cpu", 0), found.get("memory", 0)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Host ports."""
        return tuple(
            (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])  # noqa: S104
            for container in [*(self.spec.get("initContainers") or ()), *self.spec["containers"]]
            for port in container.get("ports") or ()
            if port.get("hostPort")
        )

    @cached_property
    def tolerations(self) -> list[Object]:
        return self.spec.get("tolerations") or []

    @cached_property
    def affinity(self) -> tuple[AffinityTerm, ...]:
        return affinity_terms(self.pod, "podAffinity")

    @cached_property
    def anti_affinity(self) -> tuple[AffinityTerm, ...]:
        return affinity_terms(self.pod, "podAntiAffinity")

    @cached_property
    def claims(self) -> tuple[tuple[str, bool], ...]:
        """Names of the claims it uses, and whether each is an ephemeral volume's own."""
        found = []
        for volume in self.spec.get("volumes") or ():
            if "persistentVolumeClaim" in volume:
                found.append((volume["persistentVolumeClaim"]["claimName"], False))
            elif "ephemeral" in volume:
                found.append((f"{self.name}-{volume['name']}", True))
        return tuple(found)


class NodeInfo:
    """A node with the pods on it and the sums of what they ask for."""

    def __init__(self, node: Object) -> None:
        self.pods: dict[str, PodInfo] = {}
        self.requested: Amounts = {}
        self.assumed_cpu = self.assumed_memory = 0
        self.ports: dict[Port, int] = {}
        self.with_anti_affinity: dict[str, PodInfo] = {}
        self.set_node(node)

    def set_node(self, node: Object) -> None:
        """Takes the node's newest state."""
        self.node = node
        self.name: str = node["metadata"]["name"]
        self.labels: dict[str, str] = node["metadata"].get("labels") or {}
        spec = node.get("spec") or {}
        self.taints: list[Object] = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = amounts((node.get("status") or {}).get("allocatable"))
        self.max_pods = self.allocatable.get("pods", 0)

    def add(self, pod: PodInfo) -> None:
        """Counts a pod in."""
        if pod.uid in self.pods:
            self.remove(pod)
        self.pods[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, pod: PodInfo) -> None:
        """Counts a pod out."""
        found = self.pods.pop(pod.uid, None)
        if found is not None:
            self._count(found, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        for name, value in pod.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * value
        cpu, memory = pod.assumed_requests
        self.assumed_cpu += sign * cpu
        self.assumed_memory += sign * memory
        for port in pod.ports:
            self.ports[port] = self.ports.get(port, 0) + sign
            if not self.ports[port]:
                del self.ports[port]
        if pod.anti_affinity:
            if sign > 0:
                self.with_anti_affinity[pod.uid] = pod
            else:
                self.with_anti_affinity.pop(pod.uid, None)


class Snapshot:
    """All nodes, and on which of them each pod is."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self._where: dict[str, str] = {}  # pod uid → node
        self._waiting: dict[str, dict[str, PodInfo]] = {}  # pods whose node is not known (yet)

    def set_node(self, node: Object) -> None:
        """Adds or updates a node."""
        name = node["metadata"]["name"]
        info = self.nodes.get(name)
        if info is not None:
            info.set_node(node)
            return
        info = self.nodes[name] = NodeInfo(node)
        for pod in self._waiting.pop(name, {}).values():
            info.add(pod)

    def remove_node(self, name: str) -> None:
        info = self.nodes.pop(name, None)
        if info is not None and info.pods:
            self._waiting[name] = dict(info.pods)

    def put(self, pod: PodInfo, node: str) -> None:
        """Places a pod on a node, bound or about to be."""
        before = self._where.get(pod.uid)
        if before is not None and before != node:
            self.take(pod)
        self._where[pod.uid] = node
        info = self.nodes.get(node)
        if info is not None:
            info.add(pod)
        else:
            self._waiting.setdefault(node, {})[pod.uid] = pod

    def take(self, pod: PodInfo) -> bool:
        """Removes a pod from its node; whether it was on one."""
        node = self._where.pop(pod.uid, None)
        if node is None:
            return False
        info = self.nodes.get(node)
        if info is not None:
            info.remove(pod)
        waiting = self._waiting.get(node)
        if waiting is not None:
            waiting.pop(pod.uid, None)
            if not waiting:
                del self._waiting[node]
        return True

    def where(self, uid: str) -> str | None:
        return self._where.get(uid)
