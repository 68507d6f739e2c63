"""Nodes whose pods run at once: a scheduler and a kubelet in a few lines, for tests of the other controllers."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers, controller_of
from azsandbox.controllers.node_matching import NO_SCHEDULE, node_matches_pod, untolerated
from azsandbox.controllers.objects import is_going, labels_of, name_of, namespace_of
from azsandbox.controllers.pods import is_terminal


class FakeNodes(Controller):
    """Binds pods to the first node that suits, runs them, ends those of Jobs, and lets deleted ones go."""

    name = user_agent = "fake-nodes"
    workers = 4

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.pods = self.follow(informers.of("v1", "pods"))
        self.nodes = informers.of("v1", "nodes")
        self.nodes.on_change(self._node_changed)

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        for key in self.pods.objects:
            self.queue.add(key)
        self.queue.add(f"node:{name_of(node)}")

    async def reconcile(self, key: str) -> None:
        if key.startswith("node:"):
            await self._ready(self.nodes.get(key.removeprefix("node:")))
            return
        pod = self.pods.get(key)
        if pod is None:
            return
        if is_going(pod):
            await self.client.gone(self.pods.path_of(pod), {"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            await self._bind(pod)
        elif not is_terminal(pod):
            await self._run(pod)

    async def _ready(self, node: Object | None) -> None:
        conditions = (node or {}).get("status", {}).get("conditions") or ()
        if node is None or any(c["type"] == "Ready" for c in conditions):
            return
        now = timestamp()
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": now, "lastHeartbeatTime": now}
        await self.client.patch(self.nodes.path_of(node, "status"), {"status": {"conditions": [condition]}})
        await self.client.patch(self.nodes.path_of(node), {"spec": {"taints": None}})

    async def _bind(self, pod: Object) -> None:
        if pod["spec"].get("schedulerName", "default-scheduler") != "default-scheduler":
            return
        for node in sorted(self.nodes.objects.values(), key=name_of):
            fits = node_matches_pod(pod["spec"], labels_of(node), name_of(node))
            taints = node["spec"].get("taints") or ()
            if fits and untolerated(pod["spec"].get("tolerations") or (), taints, NO_SCHEDULE) is None:
                target = {"apiVersion": "v1", "kind": "Node", "name": name_of(node)}
                binding = {
                    "apiVersion": "v1",
                    "kind": "Binding",
                    "metadata": {"name": name_of(pod)},
                    "target": target,
                }
                await self.client.create(path("v1", "pods", namespace_of(pod), name_of(pod), "binding"), binding)
                return

    async def _run(self, pod: Object) -> None:
        owner = controller_of(pod)
        running = pod.get("status", {}).get("phase") == "Running"
        ends = owner is not None and owner["kind"] == "Job"
        if running and not ends:
            return
        now = timestamp()
        phase, ready = ("Succeeded", "False") if running else ("Running", "True")
        state: Object = {"running": {"startedAt": now}}
        if running:
            state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
        conditions = [
            {"type": kind, "status": ready, "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")
        ]
        known = [c for c in pod["status"].get("conditions") or () if c["type"] not in ("Ready", "ContainersReady")]
        containers = [
            {
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": not running,
                "restartCount": 0,
                "state": state,
            }
            for c in pod["spec"]["containers"]
        ]
        status = {
            **pod["status"],
            "phase": phase,
            "conditions": [*known, *conditions],
            "containerStatuses": containers,
            "podIP": "10.244.0.9",
            "startTime": now,
        }
        await self.writes.status(self.pods, pod, status)
