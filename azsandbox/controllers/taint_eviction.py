"""Pods leave nodes whose NoExecute taints they do not tolerate, or not any longer.

Rules and texts: k8s.io/kubernetes, pkg/controller/tainteviction.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from azsandbox.controllers.client import STRATEGIC, KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder, timestamp
from azsandbox.controllers.informer import Controller, Informers, key_of
from azsandbox.controllers.node_matching import tolerates
from azsandbox.controllers.objects import time_of


def seconds_to_stay(pod: Object, node: Object, now: dt.datetime) -> float | None:
    """Seconds until a pod must leave a node; None if it may stay for ever."""
    taints = [t for t in (node.get("spec") or {}).get("taints") or () if t.get("effect") == "NoExecute"]
    tolerations = pod["spec"].get("tolerations") or ()
    least: float | None = None
    for taint in taints:
        bearing = [t for t in tolerations if tolerates(t, taint)]
        if not bearing:
            return 0.0
        limits = [max(t["tolerationSeconds"], 0) for t in bearing if t.get("tolerationSeconds") is not None]
        if not limits:
            continue
        since = time_of(taint.get("timeAdded")) or now
        left = min(limits) - (now - since).total_seconds()
        least = left if least is None else min(least, left)
    return least


class TaintEviction(Controller):
    """Deletes pods by taints."""

    name = "taint-eviction-controller"
    account = "node-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.recorder = EventRecorder(self.client, self.name)
        self._waiting: set[str] = set()
        self.nodes = informers.of("v1", "nodes")
        self.pods = informers.of("v1", "pods")
        self.pods.on_change(self._pod_changed)
        self.nodes.on_change(self._node_changed)

    def _tainted(self, name: str) -> bool:
        node = self.nodes.get(name)
        taints = ((node or {}).get("spec") or {}).get("taints") or ()
        return any(taint.get("effect") == "NoExecute" for taint in taints)

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        node = pod["spec"].get("nodeName")
        if kind == "DELETED":
            self._waiting.discard(key_of(pod))
        elif node and self._tainted(node):
            self.queue.add(key_of(pod))

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        def executing(found: Object | None) -> list[Object]:
            taints = ((found or {}).get("spec") or {}).get("taints") or ()
            return [taint for taint in taints if taint.get("effect") == "NoExecute"]

        if executing(node) == executing(old):
            return
        name = node["metadata"]["name"]
        for pod in self.pods.list():
            if pod["spec"].get("nodeName") == name:
                self.queue.add(key_of(pod))

    async def reconcile(self, key: str) -> None:
        pod = self.pods.get(key)
        node = self.nodes.get(pod["spec"].get("nodeName") or "") if pod is not None else None
        if pod is None or node is None or pod["metadata"].get("deletionTimestamp"):
            self._waiting.discard(key)
            return
        now = dt.datetime.now(dt.UTC)
        left = seconds_to_stay(pod, node, now)
        if left is None:
            if key in self._waiting:
                self._waiting.discard(key)
                text = f"Cancelling deletion of Pod {key}"
                await self.recorder.event(pod, "Normal", "TaintManagerEviction", text)
            return
        if left > 0:
            self._waiting.add(key)
            self.queue.add_after(key, left)
            return
        self._waiting.discard(key)
        await self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        metadata = pod["metadata"]
        url = path("v1", "pods", metadata["namespace"], metadata["name"])
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(now),
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "observedGeneration": metadata.get("generation", 1),
        }
        await self.client.patch(f"{url}/status", {"status": {"conditions": [condition]}}, STRATEGIC)
        await self.client.gone(url, {"preconditions": {"uid": metadata["uid"]}})
