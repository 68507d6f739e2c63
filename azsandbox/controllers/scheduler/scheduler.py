"""The scheduler's controller: takes pods that have no node, finds one, and binds them.

Each pod is bound in a task of its own, since its volumes may have to be bound or made first.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from azsandbox.controllers.client import STRATEGIC, KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers, controller_of
from azsandbox.controllers.scheduler import scoring
from azsandbox.controllers.scheduler.filters import Filters
from azsandbox.controllers.scheduler.preemption import BY_SCHEDULER, Candidate, Preemption, preempt
from azsandbox.controllers.scheduler.queue import SchedulingQueue, Waiting
from azsandbox.controllers.scheduler.recorder import SeriesRecorder
from azsandbox.controllers.scheduler.results import NO_CLAIMS, NO_NODES, Diagnosis
from azsandbox.controllers.scheduler.snapshot import TERMINAL, NodeInfo, PodInfo, Snapshot
from azsandbox.controllers.scheduler.volume_binder import BindingFailed, VolumeBinder
from azsandbox.controllers.scheduler.volumes import Bindings, VolumeChecks, VolumeSources
from azsandbox.kubernetes.errors import StatusError

log = logging.getLogger(__name__)

NAME = "default-scheduler"
FEW_NODES = 100  # up to as many, all nodes are looked at

_VOLUME_PLUGINS = {"VolumeBinding", "VolumeZone", "NodeVolumeLimits", "VolumeRestrictions"}
_POD_GONE = {"NodeResourcesFit", "NodePorts", "PodTopologySpread", "InterPodAffinity", *_VOLUME_PLUGINS}
_POD_CAME = {"PodTopologySpread", "InterPodAffinity"}


class Scheduler(Controller):
    """Schedules the pods whose schedulerName is default-scheduler."""

    name = "scheduler"
    user_agent = "kube-scheduler"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.snapshot = Snapshot()
        self.pending = SchedulingQueue()
        self.recorder = SeriesRecorder(self.client, NAME)
        self.pods = informers.of("v1", "pods")
        self.nodes = informers.of("v1", "nodes")
        self.namespaces = informers.of("v1", "namespaces")
        self.budgets = informers.of("policy/v1", "poddisruptionbudgets")
        self.services = informers.of("v1", "services")
        self.replica_sets = informers.of("apps/v1", "replicasets")
        self.stateful_sets = informers.of("apps/v1", "statefulsets")
        self.volumes = VolumeSources(
            informers.of("v1", "persistentvolumeclaims"),
            informers.of("v1", "persistentvolumes"),
            informers.of("storage.k8s.io/v1", "storageclasses"),
            informers.of("storage.k8s.io/v1", "csinodes"),
        )
        self.binder = VolumeBinder(self.client, self.volumes)
        self._claim_users: dict[str, dict[str, PodInfo]] = {}
        self._with_affinity: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_node = 0
        self.nodes.on_change(self._node_changed)
        self.pods.on_change(self._pod_changed)
        for informer in (self.volumes.claims, self.volumes.volumes, self.volumes.classes, self.volumes.csi_nodes):
            informer.on_change(lambda *_: self.pending.changed(_VOLUME_PLUGINS))

    # what changes in the cluster

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        if kind == "DELETED":
            self.snapshot.remove_node(node["metadata"]["name"])
            self.pending.changed()
            return
        before = old and _schedulable_state(old)
        self.snapshot.set_node(node)
        if before != _schedulable_state(node):
            self.pending.changed()

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        info = PodInfo(pod)
        node = pod["spec"].get("nodeName")
        if old is not None and old["metadata"]["uid"] != info.uid:
            self._gone(PodInfo(old))
        if kind == "DELETED" or (pod.get("status") or {}).get("phase") in TERMINAL:
            self._gone(info)
        elif node:
            self.pending.remove(info.uid)
            came = self.snapshot.where(info.uid) != node
            self.snapshot.put(info, node)
            self._used(info, True)
            labels_changed = old is not None and old["metadata"].get("labels") != pod["metadata"].get("labels")
            if came or labels_changed:
                self.pending.changed(_POD_CAME)
            self._note_affinity(info)
        elif self._mine(pod):
            relevant = old is None or _pending_state(old) != _pending_state(pod)
            self.pending.put(info, relevant)
        else:
            self.pending.remove(info.uid)

    def _gone(self, pod: PodInfo) -> None:
        self.pending.remove(pod.uid)
        self._used(pod, False)
        self._with_affinity.discard(pod.uid)
        if self.snapshot.take(pod):
            self.pending.changed(_POD_GONE)

    def _note_affinity(self, pod: PodInfo) -> None:
        if (pod.spec.get("affinity") or {}).keys() & {"podAffinity", "podAntiAffinity"}:
            self._with_affinity.add(pod.uid)

    def _used(self, pod: PodInfo, used: bool) -> None:
        for name, _ in pod.claims:
            users = self._claim_users.setdefault(f"{pod.namespace}/{name}", {})
            if used:
                users[pod.uid] = pod
            else:
                users.pop(pod.uid, None)
            if not users:
                del self._claim_users[f"{pod.namespace}/{name}"]

    @staticmethod
    def _mine(pod: Object) -> bool:
        return (
            pod["spec"].get("schedulerName", NAME) == NAME
            and not pod["metadata"].get("deletionTimestamp")
            and not pod["spec"].get("schedulingGates")
        )

    # one pod after the other

    async def run(self) -> None:
        """Schedules until cancelled."""
        await self.informers.synced()
        try:
            while True:
                waiting = await self.pending.take()
                try:
                    self._schedule(waiting)
                except Exception:
                    log.exception("scheduling %s", waiting.pod.key)
                    self.pending.failed(waiting, set())
                await asyncio.sleep(0)  # others have their turn
        finally:
            for task in self._tasks:
                task.cancel()

    def _schedule(self, waiting: Waiting) -> None:
        pod = waiting.pod
        labels = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in self.namespaces.list()}
        volumes = VolumeChecks(pod, self.volumes, lambda claim: self._claim_users.get(claim, {}).values())
        filters = Filters(pod, self.snapshot, volumes, labels)
        total = len(self.snapshot.nodes)
        if not total:
            self._start(self._refuse(waiting, NO_NODES, {"NodeName"}))
            return
        diagnosis = Diagnosis(total)
        diagnosis.for_all = filters.prepare()
        found: list[NodeInfo] = []
        if diagnosis.for_all is None:
            found = self._feasible(pod, filters, diagnosis, total)
        if found:
            node = scoring.best(
                pod,
                found,
                self.snapshot.nodes.values(),
                labels,
                self._default_selector(pod),
                bool(self._with_affinity) or bool(pod.spec.get("affinity")),
            )
            self.snapshot.put(pod, node.name)  # assumed from now on
            self._used(pod, True)
            self._note_affinity(pod)
            self._start(self._bind(waiting, node.name, volumes.by_node.get(node.name)))
            return
        if diagnosis.for_all is not None:
            # the plugin of dynamic resources comes later, misses what it would have noted, and says no more than this
            diagnosis.after = "not found"
            self._start(self._refuse(waiting, diagnosis.message(), diagnosis.plugins))
            return
        came = preempt(pod, self.snapshot, filters, diagnosis, self.budgets.list())
        if came.candidate is None:
            diagnosis.after = f"{NO_CLAIMS}, {came.message}"
        self._start(self._refuse(waiting, diagnosis.message(), diagnosis.plugins, came))

    def _feasible(self, pod: PodInfo, filters: Filters, diagnosis: Diagnosis, total: int) -> list[NodeInfo]:
        nominated = (pod.pod.get("status") or {}).get("nominatedNodeName")
        node = self.snapshot.nodes.get(nominated) if nominated else None
        if node is not None and (filters.only is None or node.name in filters.only) and filters.check(node) is None:
            return [node]
        enough = total
        if total > FEW_NODES:
            enough = max(FEW_NODES, total * max(50 - total // 125, 5) // 100)
        found = filters.feasible(diagnosis, self._next_node, enough)
        self._next_node = (self._next_node + len(found) + len(diagnosis.by_node) + (1 if found else 0)) % total
        return found

    def _default_selector(self, pod: PodInfo) -> Object | None:
        """What selects the pod's like: its services and its owner together."""
        labels: dict[str, str] = {}
        expressions: list[Object] = []
        for service in self.services.list(pod.namespace):
            selector = service["spec"].get("selector")
            if selector and all(pod.labels.get(key) == value for key, value in selector.items()):
                labels.update(selector)
        owner = controller_of(pod.pod)
        if owner is not None:
            informer = {"ReplicaSet": self.replica_sets, "StatefulSet": self.stateful_sets}.get(owner["kind"])
            found = informer.get(f"{pod.namespace}/{owner['name']}") if informer is not None else None
            selector = ((found or {}).get("spec") or {}).get("selector") or {}
            labels.update(selector.get("matchLabels") or {})
            expressions += selector.get("matchExpressions") or []
        return {"matchLabels": labels, "matchExpressions": expressions} if labels or expressions else None

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # what came of it

    async def _bind(self, waiting: Waiting, node: str, bindings: Bindings | None) -> None:
        pod = waiting.pod
        try:
            if bindings:
                await self.binder.bind(pod, node, bindings)
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
                "target": {"apiVersion": "v1", "kind": "Node", "name": node},
            }
            await self.client.create(path("v1", "pods", pod.namespace, pod.name, "binding"), binding)
        except (StatusError, BindingFailed) as error:
            gone = isinstance(error, StatusError) and error.code == 404
            self.snapshot.take(pod)
            self._used(pod, False)
            if gone:
                self.pending.remove(pod.uid)
            else:
                text = f'running PreBind plugin "VolumeBinding": {error}' if bindings else str(error)
                await self._refuse(waiting, text, set(), reason="SchedulerError")
            self.pending.changed(_POD_GONE)
            return
        self.pending.remove(pod.uid)
        text = f"Successfully assigned {pod.key} to {node}"
        await self.recorder.event(pod.pod, "Normal", "Scheduled", "Binding", text)

    async def _refuse(
        self,
        waiting: Waiting,
        message: str,
        plugins: set[str],
        came: Preemption | None = None,
        reason: str = "Unschedulable",
    ) -> None:
        pod = waiting.pod
        status = pod.pod.get("status") or {}
        change: Object = {}
        conditions = status.get("conditions") or ()
        old: Object = next((c for c in conditions if c["type"] == "PodScheduled"), {})
        if (old.get("status"), old.get("reason"), old.get("message")) != ("False", reason, message):
            change["conditions"] = [_condition(pod, old, "PodScheduled", "False", reason, message)]
        nominated = status.get("nominatedNodeName")
        if came is not None and came.candidate is not None and came.candidate.node.name != nominated:
            change["nominatedNodeName"] = came.candidate.node.name
        elif nominated and came is not None and came.candidate is None and not came.keep:
            change["nominatedNodeName"] = None
        self.pending.failed(waiting, plugins | ({"NodeResourcesFit"} if came and came.candidate else set()))
        if came is not None and came.candidate is not None:
            await self._evict(pod, came.candidate)
        await self.recorder.event(pod.pod, "Warning", "FailedScheduling", "Scheduling", message)
        if change:
            await self._patch_status(pod, change)

    async def _evict(self, preemptor: PodInfo, candidate: Candidate) -> None:
        text = f"{preemptor.spec.get('schedulerName', NAME)}: preempting to accommodate a higher priority pod"
        for victim in candidate.victims:
            if victim.terminating:
                continue
            condition = _condition(victim, {}, "DisruptionTarget", "True", BY_SCHEDULER, text)
            await self._patch_status(victim, {"conditions": [condition]})
            await self.client.gone(
                path("v1", "pods", victim.namespace, victim.name), {"preconditions": {"uid": victim.uid}}
            )
            note = f"Preempted by pod {preemptor.uid} on node {candidate.node.name}"
            await self.recorder.event(victim.pod, "Normal", "Preempted", "Preempting", note, preemptor.pod)

    async def _patch_status(self, pod: PodInfo, status: Object) -> None:
        change = {"metadata": {"uid": pod.uid}, "status": status}
        try:
            await self.client.patch(path("v1", "pods", pod.namespace, pod.name, "status"), change, STRATEGIC)
        except StatusError as error:
            log.debug("status of %s: %s", pod.key, error)


def _condition(pod: PodInfo, old: Object, kind: str, status: str, reason: str, message: str) -> Object:
    same = old.get("status") == status
    condition: Object = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if same and old.get("lastTransitionTime") else timestamp(),
        "reason": reason,
        "message": message,
    }
    generation = pod.pod["metadata"].get("generation")
    if generation:
        condition["observedGeneration"] = generation
    return condition


def _schedulable_state(node: Object) -> tuple[Any, ...]:
    """What of a node decides over scheduling."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return (
        node["metadata"].get("labels"),
        spec.get("taints"),
        spec.get("unschedulable"),
        status.get("allocatable"),
    )


def _pending_state(pod: Object) -> tuple[Any, ...]:
    """What of a pending pod decides over scheduling."""
    return pod["metadata"].get("labels"), pod["spec"]
