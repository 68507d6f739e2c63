"""Health of nodes: conditions become taints, a node that falls silent becomes Unknown, its pods not ready.

Option `node_grace`: seconds of silence (default 90; a node's lease is renewed every 40 s here). On the
kwok profile it is an hour. Rules and texts: k8s.io/kubernetes, pkg/controller/nodelifecycle.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from azsandbox.controllers.client import STRATEGIC, KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder, timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.kubelet.node_status import LEASE_NAMESPACE
from azsandbox.controllers.objects import condition_of, time_of

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

_TAINTS = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
_OURS = {*_TAINTS.values(), UNSCHEDULABLE}
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
MONITOR_SECONDS = 5.0


def wanted_taints(node: Object) -> list[tuple[str, str]]:
    """Key and effect of the taints that the node's conditions and its cordon call for."""
    found = []
    conditions = (node.get("status") or {}).get("conditions") or ()
    for condition in conditions:
        key = _TAINTS.get((condition["type"], condition["status"]))
        if key is not None:
            found.append((key, "NoSchedule"))
            if condition["type"] == "Ready":
                found.append((key, "NoExecute"))
    if not any(condition["type"] == "Ready" for condition in conditions):
        found.append((NOT_READY, "NoSchedule"))  # as it came; it has not said yet that it is ready
    if (node.get("spec") or {}).get("unschedulable"):
        found.append((UNSCHEDULABLE, "NoSchedule"))
    return found


def taints_of(node: Object, now: str) -> list[Object] | None:
    """The node's taints with those of its state; None if nothing changes."""
    old = (node.get("spec") or {}).get("taints") or []
    wanted = wanted_taints(node)
    kept = [
        t
        for t in old
        if t["key"] not in _OURS or t["effect"] not in ("NoSchedule", "NoExecute") or (t["key"], t["effect"]) in wanted
    ]
    there = {(t["key"], t["effect"]) for t in kept}
    added = [{"key": key, "effect": effect, "timeAdded": now} for key, effect in wanted if (key, effect) not in there]
    return kept + added if added or len(kept) != len(old) else None


class NodeLifecycle(Controller):
    """Taints nodes by their conditions, and notes which of them fell silent."""

    name = "node-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        default = 3600.0 if options.get("profile") == "kwok" else 90.0
        self.grace = float(options.get("node_grace", default))
        self.recorder = EventRecorder(self.client, "node-controller")
        self.nodes = informers.of("v1", "nodes")
        self.pods = informers.of("v1", "pods")
        self.leases = informers.of("coordination.k8s.io/v1", "leases")
        self._known: dict[str, str] = {}  # name → uid
        self._seen: dict[str, tuple[str, float]] = {}  # name → what its lease said, and when that was seen (monotonic)
        self.nodes.on_change(self._changed)

    def _changed(self, kind: str, node: Object, old: Object | None) -> None:
        self.queue.add(node["metadata"]["name"])

    async def run(self) -> None:
        """Works until cancelled."""
        await asyncio.gather(super().run(), self._monitor())

    async def reconcile(self, key: str) -> None:
        node = self.nodes.get(key)
        if node is None:
            uid = self._known.pop(key, None)
            if uid is not None:
                gone = _event_subject(key, key)
                text = f"Node {key} event: Removing Node {key} from Controller"
                await self.recorder.event(gone, "Normal", "RemovingNode", text)
            return
        if key not in self._known:
            self._known[key] = node["metadata"]["uid"]
            if not self._registered(node):
                text = f"Node {key} event: Registered Node {key} in Controller"
                await self.recorder.event(
                    _event_subject(key, node["metadata"]["uid"]), "Normal", "RegisteredNode", text
                )
        taints = taints_of(node, timestamp())
        if taints is not None:
            change = {
                "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                "spec": {"taints": taints or None},
            }
            await self.client.patch(path("v1", "nodes", name=key), change)
        ready = condition_of(node.get("status") or {}, "Ready")
        if ready is not None and ready["status"] != "True":
            await self._mark_pods(node)

    def _registered(self, node: Object) -> bool:
        created = time_of(node["metadata"].get("creationTimestamp"))
        return created is not None and (dt.datetime.now(dt.UTC) - created).total_seconds() > 60

    async def _mark_pods(self, node: Object) -> None:
        """The pods of a node that is not ready are not ready either."""
        name = node["metadata"]["name"]
        for pod in self.pods.list():
            if pod["spec"].get("nodeName") != name:
                continue
            ready = condition_of(pod.get("status") or {}, "Ready")
            if ready is None or ready["status"] != "True":
                continue
            metadata = pod["metadata"]
            change = {"type": "Ready", "status": "False", "lastTransitionTime": timestamp()}
            url = path("v1", "pods", metadata["namespace"], metadata["name"], "status")
            await self.client.patch(url, {"status": {"conditions": [change]}}, STRATEGIC)
            await self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _monitor(self) -> None:
        await self.informers.synced()
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(MONITOR_SECONDS)
            for node in self.nodes.list():
                name = node["metadata"]["name"]
                lease = self.leases.get(f"{LEASE_NAMESPACE}/{name}") or {}
                ready = condition_of(node.get("status") or {}, "Ready") or {}
                said = f"{(lease.get('spec') or {}).get('renewTime')} {ready.get('lastHeartbeatTime')}"
                before = self._seen.get(name)
                if before is None or before[0] != said:
                    self._seen[name] = (said, loop.time())
                elif loop.time() - before[1] > self.grace and ready.get("status") != "Unknown":
                    await self._silent(node)

    async def _silent(self, node: Object) -> None:
        name, now = node["metadata"]["name"], timestamp()
        conditions = []
        for kind in _WATCHED:
            found = condition_of(node.get("status") or {}, kind)
            if found is None:
                reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
                heartbeat = node["metadata"].get("creationTimestamp")
            else:
                reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
                heartbeat = found.get("lastHeartbeatTime")
            conditions.append(
                {
                    "type": kind,
                    "status": "Unknown",
                    "reason": reason,
                    "message": message,
                    "lastHeartbeatTime": heartbeat,
                    "lastTransitionTime": now,
                }
            )
        url = path("v1", "nodes", name=name, subresource="status")
        await self.client.patch(url, {"status": {"conditions": conditions}}, STRATEGIC)
        text = f"Node {name} status is now: NodeNotReady"
        subject = _event_subject(name, node["metadata"]["uid"])
        await self.recorder.event(subject, "Normal", "NodeNotReady", text)


def _event_subject(name: str, uid: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid}}
