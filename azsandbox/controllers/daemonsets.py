"""DaemonSets: a pod on every node that suits it.

Source of the rules: Kubernetes 1.35, pkg/controller/daemon.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from azsandbox.controllers import revisions as history
from azsandbox.controllers.client import MERGE, KubeClient, Object
from azsandbox.controllers.daemon_pods import (
    HASH_LABEL,
    allows_surge,
    bind_to,
    fits,
    generation_of,
    is_updated,
    oldest_first,
    rolling_counts,
    target_of,
    template_of,
)
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, key_of
from azsandbox.controllers.objects import (
    controller_reference,
    dropping_empty,
    is_going,
    labels_of,
    name_of,
    namespace_is_going,
    namespace_of,
    uid_of,
)
from azsandbox.controllers.ownership import Claims
from azsandbox.controllers.pod_control import BURST, PodControl, slow_start
from azsandbox.controllers.pods import is_available, is_ready, is_terminal, next_availability, phase_of
from azsandbox.controllers.template_hash import template_hash
from azsandbox.kubernetes.errors import StatusError

_OMITTED = ("updatedNumberScheduled", "numberAvailable", "numberUnavailable", "observedGeneration")
OnNodes = dict[str, list[Object]]

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 900.0  # seconds before a failed pod on a node is replaced


class DaemonSetController(Controller):
    """Keeps a pod of each DaemonSet on each node that suits it."""

    name = "daemonset-controller"
    account = "daemon-set-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.sets = self.follow(informers.of("apps/v1", "daemonsets"))
        self.pods = informers.of("v1", "pods")
        self.nodes = informers.of("v1", "nodes")
        self.revisions = informers.of("apps/v1", "controllerrevisions")
        self.members = Claims(self.writes, self.sets, self.pods, "apps/v1", "DaemonSet")
        self.histories = Claims(self.writes, self.sets, self.revisions, "apps/v1", "DaemonSet")
        self.follow(self.pods, self.members.owners_of)
        self.nodes.on_change(self._node_changed)
        self.recorder = EventRecorder(self.client, self.name)
        self.control = PodControl(self.writes, self.pods, self.recorder)
        self._failed: dict[tuple[str, int, str], tuple[float, dt.datetime]] = {}  # backoff of set, generation, node

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        """A heartbeat of a node concerns no DaemonSet; labels, taints, coming and going do."""
        if kind == "MODIFIED" and old is not None:
            same = labels_of(old) == labels_of(node)
            if same and old["spec"].get("taints") == node["spec"].get("taints"):
                return
        for key, daemon_set in self.sets.objects.items():
            if kind != "MODIFIED" or old is None or fits(daemon_set, old) != fits(daemon_set, node):
                self.queue.add(key)

    async def reconcile(self, key: str) -> None:
        daemon_set = self.sets.get(key)
        if daemon_set is None or is_going(daemon_set):
            return
        if not daemon_set["spec"].get("selector"):
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            await self.recorder.event(daemon_set, "Warning", "SelectingAll", message)
            return
        current, old = await self._history(daemon_set)
        hash_label = labels_of(current)[HASH_LABEL]

        failure = None
        try:
            await self._manage(daemon_set, hash_label)
            if (daemon_set["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate":
                await self._roll(daemon_set, hash_label)
            await self._clean_up(daemon_set, old)
        except StatusError as error:
            failure = error
        daemon_set = self.sets.get(key)
        if daemon_set is not None:
            await self._write_status(daemon_set, hash_label)
        if failure is not None:
            raise failure

    def _now_on_nodes(self, pods: list[Object]) -> OnNodes:
        found: OnNodes = {}
        for pod in pods:
            node = target_of(pod)
            if node and not (is_terminal(pod) and is_going(pod)):
                found.setdefault(node, []).append(pod)
        return found

    async def _on_nodes(self, daemon_set: Object) -> OnNodes:
        """The set's pods by the node that they are on or meant for."""
        return self._now_on_nodes(await self.members.claim(daemon_set, self.members.candidates(daemon_set)))

    # History

    async def _history(self, daemon_set: Object) -> tuple[Object, list[Object]]:
        """The revision of the present template, made if it is not there, and the older ones."""
        revisions = await self.histories.claim(daemon_set, self.histories.candidates(daemon_set))
        wanted = {"data": history.template_patch(daemon_set)}
        current = [r for r in revisions if history.same_data(r, wanted)]
        old = [r for r in revisions if r not in current]
        number = max((r["revision"] for r in old), default=0) + 1
        if not current:
            return await self._snapshot(daemon_set, number), old
        kept = await self._single(daemon_set, current)
        if kept["revision"] < number:
            kept = await self.writes.update(self.revisions, {**kept, "revision": number})
        return kept, old

    async def _snapshot(self, daemon_set: Object, number: int) -> Object:
        collisions = (daemon_set.get("status") or {}).get("collisionCount")
        label = template_hash(daemon_set["spec"]["template"], collisions)
        made = history.new_revision(daemon_set, "apps/v1", "DaemonSet", number, label, name_limit=253)
        try:
            return await self.writes.create(self.revisions, made)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            existing = await self.client.get(self.revisions.path_of(made))
            if history.same_data(existing, made):
                return existing
            status = {**(daemon_set.get("status") or {}), "collisionCount": (collisions or 0) + 1}
            await self.writes.status(self.sets, daemon_set, status)
            raise

    async def _single(self, daemon_set: Object, current: list[Object]) -> Object:
        """Of several revisions of one template keeps the newest, and gives pods its hash."""
        kept = max(current, key=lambda r: int(r["revision"]))
        if len(current) > 1:
            label = labels_of(kept)[HASH_LABEL]
            for pods in (await self._on_nodes(daemon_set)).values():
                for pod in pods:
                    if labels_of(pod).get(HASH_LABEL) != label:
                        change = {"metadata": {"labels": {HASH_LABEL: label}}}
                        await self.writes.patch(self.pods, pod, change, MERGE)
            for revision in current:
                if revision is not kept:
                    await self.writes.delete(self.revisions, revision)
        return kept

    async def _clean_up(self, daemon_set: Object, old: list[Object]) -> None:
        """Deletes the oldest revisions that no pod is of, above the history limit."""
        surplus = len(old) - daemon_set["spec"].get("revisionHistoryLimit", 10)
        live = {labels_of(pod).get(HASH_LABEL) for pod in self.pods.owned_by(uid_of(daemon_set))}
        for revision in sorted(old, key=lambda r: int(r["revision"])):
            if surplus <= 0:
                return
            if labels_of(revision).get(HASH_LABEL) not in live:
                await self.writes.delete(self.revisions, revision)
                surplus -= 1

    # Pods

    async def _manage(self, daemon_set: Object, hash_label: str) -> None:
        """Makes pods where they are missing and deletes those that should not be."""
        on_nodes = await self._on_nodes(daemon_set)
        wanted: list[str] = []
        unwanted: list[Object] = []
        for node in sorted(self.nodes.objects.values(), key=name_of):
            make, delete = await self._on_node(daemon_set, node, on_nodes, hash_label)
            if make:
                wanted.append(name_of(node))
            unwanted += delete
        for name, pods in on_nodes.items():
            if name not in self.nodes.objects:
                unwanted += [pod for pod in pods if not pod["spec"].get("nodeName") and not is_going(pod)]
        await self._sync(daemon_set, unwanted, wanted, hash_label)

    async def _on_node(
        self, daemon_set: Object, node: Object, on_nodes: OnNodes, hash_label: str
    ) -> tuple[bool, list[Object]]:
        """Whether a pod is to be made on a node, and the pods there to delete."""
        should_run, may_stay = fits(daemon_set, node)
        pods = on_nodes.get(name_of(node))
        if should_run and not pods:
            return True, []
        if not may_stay:
            return False, [pod for pod in pods or () if not is_going(pod)]

        running, delete = [], []
        for pod in pods or ():
            if is_going(pod):
                continue
            where = f"{namespace_of(pod)}/{name_of(pod)} on node {name_of(node)}"
            if phase_of(pod) == "Failed":
                if self._backs_off(daemon_set, name_of(node)):
                    continue
                message = f"Found failed daemon pod {where}, will try to kill it"
                await self.recorder.event(daemon_set, "Warning", "FailedDaemonPod", message)
                delete.append(pod)
            elif phase_of(pod) == "Succeeded":
                message = f"Found succeeded daemon pod {where}, will try to delete it"
                await self.recorder.event(daemon_set, "Normal", "SucceededDaemonPod", message)
                delete.append(pod)
            else:
                running.append(pod)
        running.sort(key=oldest_first)
        if not allows_surge(daemon_set):
            return False, delete + running[1:]
        if not running:
            return should_run, delete
        new = [pod for pod in running if labels_of(pod).get(HASH_LABEL) == hash_label]
        old = [pod for pod in running if labels_of(pod).get(HASH_LABEL) != hash_label]
        delete += new[1:] + old[1:]
        min_ready = daemon_set["spec"].get("minReadySeconds", 0)
        if new and old and (not is_ready(old[0]) or is_available(new[0], min_ready, self.now())):
            delete.append(old[0])
        return False, delete

    def _backs_off(self, daemon_set: Object, node: str) -> bool:
        """Whether a failed pod must wait before it is replaced; each failure doubles the wait."""
        key = (uid_of(daemon_set), (daemon_set.get("status") or {}).get("observedGeneration", 0), node)
        wait, since = self._failed.get(key, (0.0, self.now()))
        left = wait - (self.now() - since).total_seconds()
        if wait and left > 0:
            self.queue.add_after(key_of(daemon_set), left)
            return True
        self._failed[key] = (min(wait * 2 or FIRST_BACKOFF, LAST_BACKOFF), self.now())
        return False

    async def _sync(self, daemon_set: Object, unwanted: list[Object], wanted: list[str], hash_label: str) -> None:
        template = template_of(daemon_set, hash_label)
        reference = controller_reference(daemon_set, "apps/v1", "DaemonSet")

        async def make(index: int) -> None:
            try:
                await self.control.create(daemon_set, template, reference, lambda pod: bind_to(pod, wanted[index]))
            except StatusError as error:
                if not namespace_is_going(error):
                    raise

        _, error = await slow_start(min(len(wanted), BURST), make)
        deletion_error = await self.control.delete_all(daemon_set, unwanted[:BURST])
        failure = error or deletion_error
        if failure is not None:
            raise failure

    async def _roll(self, daemon_set: Object, hash_label: str) -> None:
        """Replaces pods of older templates, within unavailability or surge."""
        on_nodes = await self._on_nodes(daemon_set)
        suited = {name_of(node) for node in self.nodes.objects.values() if fits(daemon_set, node)[0]}
        for name in suited:
            on_nodes.setdefault(name, [])
        surge, unavailable = rolling_counts(daemon_set, len(suited))
        if surge:
            await self._roll_with_surge(daemon_set, on_nodes, suited, surge, hash_label)
            return

        min_ready, now = daemon_set["spec"].get("minReadySeconds", 0), self.now()
        missing, replaced, candidates = 0, [], []
        for pods in on_nodes.values():
            new, old, single = _new_and_old(daemon_set, pods, hash_label)
            if not single or (new is None) == (old is None):
                missing += 1
            elif new is not None:
                missing += not is_available(new, min_ready, now)
            elif old is not None:
                if not is_available(old, min_ready, now):
                    replaced.append(old)
                    missing += 1
                elif missing < unavailable:
                    candidates.append(old)
        replaced += candidates[: max(unavailable - missing, 0)]
        await self._sync(daemon_set, replaced, [], hash_label)

    async def _roll_with_surge(
        self, daemon_set: Object, on_nodes: OnNodes, suited: set[str], surge: int, hash_label: str
    ) -> None:
        min_ready, now = daemon_set["spec"].get("minReadySeconds", 0), self.now()
        delete: list[Object] = []
        misplaced: list[Object] = []
        allowed: list[str] = []
        candidates: list[str] = []
        surging = available = 0
        for node, pods in on_nodes.items():
            new, old, single = _new_and_old(daemon_set, pods, hash_label)
            if not single:
                surging += 1
                continue
            present = old if old is not None else new
            available += present is not None and is_available(present, min_ready, now)
            if old is None:
                continue
            old_available = is_available(old, min_ready, now)
            if new is not None:
                if is_available(new, min_ready, now):
                    delete.append(old)
                else:
                    surging += 1
            elif node not in suited:
                (misplaced if old_available else delete).append(old)
            elif not old_available:
                allowed.append(node)
            elif surging < surge:
                candidates.append(node)
        delete += misplaced[: max(available - len(suited), 0)]
        await self._sync(daemon_set, delete, allowed + candidates[: max(surge - surging, 0)], hash_label)

    # Status

    async def _write_status(self, daemon_set: Object, hash_label: str) -> None:
        on_nodes = await self._on_nodes(daemon_set)
        generation = generation_of(daemon_set)
        min_ready, now = daemon_set["spec"].get("minReadySeconds", 0), self.now()
        desired = misscheduled = 0
        present = []
        for node in self.nodes.objects.values():
            pods = on_nodes.get(name_of(node))
            if fits(daemon_set, node)[0]:
                desired += 1
                if pods:
                    present.append(min(pods, key=oldest_first))
            elif pods:
                misscheduled += 1
        available = sum(is_available(pod, min_ready, now) for pod in present)
        old = daemon_set.get("status") or {}
        status = {
            **old,
            "currentNumberScheduled": len(present),
            "numberMisscheduled": misscheduled,
            "desiredNumberScheduled": desired,
            "numberReady": sum(map(is_ready, present)),
            "observedGeneration": daemon_set["metadata"].get("generation", 0),
            "updatedNumberScheduled": sum(is_updated(pod, hash_label, generation) for pod in present),
            "numberAvailable": available,
            "numberUnavailable": desired - available,
        }
        status = dropping_empty(status, _OMITTED)
        if status != old:
            await self.writes.status(self.sets, daemon_set, status)
        wait = next_availability(present, min_ready, now)
        if wait is not None:
            self.queue.add_after(key_of(daemon_set), wait)


def _new_and_old(daemon_set: Object, pods: list[Object], hash_label: str) -> tuple[Object | None, Object | None, bool]:
    """The new and the old pod on a node; the last is False if there are several of a sort."""
    generation = generation_of(daemon_set)
    staying = [pod for pod in pods if not is_going(pod)]
    new = [pod for pod in staying if is_updated(pod, hash_label, generation)]
    old = [pod for pod in staying if not is_updated(pod, hash_label, generation)]
    if len(new) > 1 or len(old) > 1:
        return None, None, False
    return next(iter(new), None), next(iter(old), None), True
