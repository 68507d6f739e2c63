"""Where pods would fit: the scheduler's own filters over nodes that are there and nodes that could come."""

from __future__ import annotations

from typing import Any, cast

from azsandbox.aks.drain import to_evict
from azsandbox.controllers.informer import controller_of
from azsandbox.controllers.scheduler.filters import Filters
from azsandbox.controllers.scheduler.results import Rejection
from azsandbox.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from azsandbox.kubernetes.copies import copy_of

Document = dict[str, Any]


class _AnyVolume:
    """Volumes do not keep a pod from a node that does not exist yet: they are made where the node will be."""

    def prepare(self) -> Rejection | None:
        return None

    def check(self, node: NodeInfo) -> Rejection | None:
        return None


class Room:
    """Nodes with what runs on them, to try pods on."""

    def __init__(self, nodes: list[Document], pods: list[Document], namespaces: dict[str, dict[str, str]]) -> None:
        self.snapshot, self.namespaces = Snapshot(), namespaces
        for node in nodes:
            self.snapshot.nodes[node["metadata"]["name"]] = NodeInfo(node)
        for pod in pods:
            where = self.snapshot.nodes.get(pod["spec"].get("nodeName") or "")
            if where is not None and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                where.add(PodInfo(pod))

    def add_node(self, node: Document, like: list[Document]) -> str:
        """Supposes a new node, with the pods of DaemonSets that would run on it (`like`: their pods elsewhere)."""
        name = f"template-{len(self.snapshot.nodes)}-{node['metadata']['name']}"
        node = copy_of(node)
        node["metadata"]["name"] = name
        node["metadata"]["labels"]["kubernetes.io/hostname"] = name
        info = self.snapshot.nodes[name] = NodeInfo(node)
        for pod in like:
            daemon = copy_of(pod)
            daemon["metadata"]["uid"] = f"{pod['metadata']['uid']}-{name}"
            info.add(PodInfo(daemon))
        return name

    def drop_node(self, name: str) -> None:
        """Forgets a supposed node."""
        self.snapshot.nodes.pop(name, None)

    def why_not(self, pod: Document, node: str) -> str:
        """Why the pod does not fit the node, in the scheduler's words; "" if it does."""
        info = PodInfo(pod)
        filters = Filters(info, self.snapshot, cast(Any, _AnyVolume()), self.namespaces)
        refused = filters.prepare()
        if refused is None and filters.only is not None and node not in filters.only:
            return "node(s) didn't satisfy plugin(s) [NodeAffinity]"
        refused = refused or filters.check(self.snapshot.nodes[node])
        return "" if refused is None else ", ".join(refused.reasons)

    def put(self, pod: Document, node: str) -> None:
        """Supposes that the pod is on the node."""
        self.snapshot.nodes[node].add(PodInfo(pod))

    def take(self, pod: Document, node: str) -> None:
        """Supposes that the pod is not on the node."""
        self.snapshot.nodes[node].remove(PodInfo(pod))

    def on(self, node: str) -> list[Document]:
        """The pods of a node."""
        return [p.pod for p in self.snapshot.nodes[node].pods.values()]

    def utilization(self, node: str) -> float:
        """The larger of the shares of CPU and memory that pods ask for (DaemonSets count, as by default)."""
        info = self.snapshot.nodes[node]
        shares = [
            info.requested.get(name, 0) / info.allocatable[name]
            for name in ("cpu", "memory")
            if info.allocatable.get(name)
        ]
        return max(shares, default=0.0)

    def removable(self, node: str, budgets: set[str], *, keep_system: bool) -> bool:
        """Whether every pod that would have to move fits on another node that is there.

        Pods without a controller, those of kube-system without a budget (`keep_system`; `budgets` are the uids of pods
        that have one), and those marked safe-to-evict: false keep the node.
        """
        moved: list[tuple[Document, str]] = []
        possible = True
        for pod in self.on(node):
            if not to_evict(pod):
                continue
            if not self._movable(pod, budgets, keep_system):
                possible = False
                break
            target = self._elsewhere(pod, node)
            if target is None:
                possible = False
                break
            self.put(pod, target)
            moved.append((pod, target))
        for pod, target in moved:
            self.take(pod, target)
            self.put(pod, node)
        return possible

    def _movable(self, pod: Document, budgets: set[str], keep_system: bool) -> bool:
        metadata = pod["metadata"]
        safe = (metadata.get("annotations") or {}).get("cluster-autoscaler.kubernetes.io/safe-to-evict")
        if safe is not None:
            return bool(safe == "true")
        if keep_system and metadata["namespace"] == "kube-system" and metadata["uid"] not in budgets:
            return False
        return controller_of(pod) is not None

    def _elsewhere(self, pod: Document, node: str) -> str | None:
        bare = copy_of(pod)
        bare["spec"].pop("nodeName", None)
        for name, info in self.snapshot.nodes.items():
            if name != node and not info.unschedulable and not self.why_not(bare, name):
                return name
        return None
