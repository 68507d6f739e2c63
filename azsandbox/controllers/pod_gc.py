"""Pods that nothing else would clear away: of nodes that are gone, never scheduled, or too many that have ended.

Source of the rules: Kubernetes 1.35, pkg/controller/podgc.
"""

from __future__ import annotations

import asyncio
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import copy_of, is_going, is_true, name_of
from azsandbox.controllers.pods import is_terminal, phase_of
from azsandbox.kubernetes.errors import StatusError

TERMINATED_PODS = 12500  # kube-controller-manager's --terminated-pod-gc-threshold
QUARANTINE = 40.0  # seconds that a node must be away
INTERVAL = 20.0
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


class PodGCController(Controller):
    """Clears pods away."""

    name = "pod-garbage-collector"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.pods = informers.of("v1", "pods")
        self.nodes = informers.of("v1", "nodes")
        self.nodes.on_change(self._node_changed)
        self.pods.on_change(self._pod_changed)
        self._quarantine = float(options.get("pod_gc_quarantine", QUARANTINE))
        self._away: dict[str, float] = {}  # node → loop time at which its pods go

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        if kind == "DELETED" or any(t["key"] == _OUT_OF_SERVICE for t in node["spec"].get("taints") or ()):
            self.queue.add("all")

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        node = pod["spec"].get("nodeName")
        unscheduled = is_going(pod) and not node
        if kind != "DELETED" and (unscheduled or (node and node not in self.nodes.objects) or self._too_many(pod)):
            # a pod that was just deleted before it was scheduled mostly goes by itself
            self.queue.add_after("all", INTERVAL)

    def _too_many(self, pod: Object) -> bool:
        return is_terminal(pod) and len(self.pods.objects) > TERMINATED_PODS

    async def reconcile(self, key: str) -> None:
        pods = list(self.pods.objects.values())
        ended = sorted(filter(is_terminal, pods), key=_evicted_first)
        for pod in ended[: max(len(ended) - TERMINATED_PODS, 0)]:
            await self._delete(pod)
        for pod in pods:
            node = self.nodes.get(pod["spec"].get("nodeName", ""))
            if (is_going(pod) and not pod["spec"].get("nodeName")) or (
                is_going(pod) and node is not None and _is_out_of_service(node)
            ):
                await self._delete(pod)
        await self._clear_lost(pods)

    async def _clear_lost(self, pods: list[Object]) -> None:
        """Pods of nodes that have been away for the quarantine."""

        now = asyncio.get_running_loop().time()
        lost = {pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")} - self.nodes.objects.keys()
        self._away = {node: self._away.get(node, now + self._quarantine) for node in lost}
        due = {node for node, when in self._away.items() if when <= now}
        if lost - due:
            self.queue.add_after("all", min(self._away[node] for node in lost - due) - now)
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastTransitionTime": timestamp(self.now()),
        }
        for pod in pods:
            if pod["spec"].get("nodeName") in due:
                await self._delete(pod, condition)

    async def _delete(self, pod: Object, condition: Object | None = None) -> None:
        """Deletes a pod at once; if it has not ended it fails first."""
        try:
            if not is_terminal(pod):
                status = copy_of(pod.get("status") or {})
                status["phase"] = "Failed"
                generation = pod["metadata"].get("generation")
                if generation:
                    status["observedGeneration"] = generation
                if condition is not None:
                    others = [c for c in status.get("conditions") or () if c["type"] != condition["type"]]
                    made = {**condition, "observedGeneration": generation} if generation else condition
                    status["conditions"] = [*others, made]
                await self.writes.status(self.pods, pod, status)
            await self.writes.delete(self.pods, pod, {"gracePeriodSeconds": 0})
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _is_out_of_service(node: Object) -> bool:
    tainted = any(t["key"] == _OUT_OF_SERVICE for t in node["spec"].get("taints") or ())
    return tainted and not is_true(node.get("status") or {}, "Ready")


def _evicted_first(pod: Object) -> tuple[bool, str, str]:
    evicted = phase_of(pod) == "Failed" and (pod.get("status") or {}).get("reason") == "Evicted"
    return not evicted, str(pod["metadata"].get("creationTimestamp") or ""), name_of(pod)
