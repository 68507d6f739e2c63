"""StatefulSets: pods with names and claims of their own, made and taken away in order.

Source of the rules: Kubernetes 1.35, pkg/controller/statefulset.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from azsandbox.controllers import revisions as history
from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, key_of
from azsandbox.controllers.objects import dropping_empty, is_going, name_of, namespace_of
from azsandbox.controllers.ownership import Claims
from azsandbox.controllers.pod_control import slow_start
from azsandbox.controllers.pods import is_available, is_ready, is_terminal, next_availability, phase_of
from azsandbox.controllers.stateful_pods import (
    StatefulPods,
    identity_matches,
    new_pod,
    ordinal_of,
    parent_of,
    revision_of,
    start_of,
)
from azsandbox.kubernetes.errors import StatusError

_OMITTED = (
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "currentRevision",
    "updateRevision",
    "observedGeneration",
)
Step = Callable[[Object], Awaitable[bool]]  # returns whether to stop there


class StatefulSetController(Controller):
    """Keeps the pods of StatefulSets, one after the other unless they may come in parallel."""

    name = "statefulset-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.sets = self.follow(informers.of("apps/v1", "statefulsets"))
        self.pods = informers.of("v1", "pods")
        self.claims = informers.of("v1", "persistentvolumeclaims")
        self.revisions = informers.of("apps/v1", "controllerrevisions")
        self.members = Claims(self.writes, self.sets, self.pods, "apps/v1", "StatefulSet")
        self.histories = Claims(self.writes, self.sets, self.revisions, "apps/v1", "StatefulSet")
        self.follow(self.pods, self.members.owners_of)
        self.recorder = EventRecorder(self.client, self.name)
        self.control = StatefulPods(self.writes, self.pods, self.claims, self.recorder)

    async def reconcile(self, key: str) -> None:
        stateful_set = self.sets.get(key)
        if stateful_set is None:
            return
        revisions = history.in_order(await self.histories.claim(stateful_set, self.histories.candidates(stateful_set)))
        current, update, collisions = await self._revisions(stateful_set, revisions)
        pods = await self._pods(stateful_set)

        failure = None
        if not is_going(stateful_set):
            try:
                await self._bring(stateful_set, current, update, pods)
            except StatusError as error:
                failure = error
        stateful_set = self.sets.get(key)
        if stateful_set is None:
            return
        pods = await self._pods(stateful_set)
        await self._write_status(stateful_set, current, update, collisions, pods)
        await self._truncate(stateful_set, pods, current, update)
        if failure is not None:
            raise failure

        wait = next_availability(pods, stateful_set["spec"].get("minReadySeconds", 0), self.now())
        if wait is not None:
            self.queue.add_after(key, wait)

    async def _pods(self, stateful_set: Object) -> list[Object]:
        pods = await self.members.claim(
            stateful_set,
            self.members.candidates(stateful_set),
            fits=lambda pod: parent_of(pod) == name_of(stateful_set),
        )
        return sorted(pods, key=ordinal_of)

    # Revisions

    async def _revisions(self, stateful_set: Object, revisions: list[Object]) -> tuple[Object, Object, int]:
        """The revision that pods are at, the one they go to, and the collisions of their names."""
        status = stateful_set.get("status") or {}
        collisions = status.get("collisionCount", 0)
        number = revisions[-1]["revision"] + 1 if revisions else 1
        wanted = self._revision(stateful_set, number, collisions)
        equal = [r for r in revisions if history.same_data(r, wanted)]
        if equal and equal[-1] is revisions[-1]:
            update = revisions[-1]
        elif equal:
            update = await self.writes.update(self.revisions, {**equal[-1], "revision": number})
        else:
            update, collisions = await self._create_revision(stateful_set, wanted, collisions)
        current = next((r for r in revisions if name_of(r) == status.get("currentRevision")), update)
        return current, update, collisions

    def _revision(self, stateful_set: Object, number: int, collisions: int) -> Object:
        label = history.data_hash(history.template_patch(stateful_set), collisions)
        return history.new_revision(stateful_set, "apps/v1", "StatefulSet", number, label)

    async def _create_revision(self, stateful_set: Object, wanted: Object, collisions: int) -> tuple[Object, int]:
        while True:
            try:
                return await self.writes.create(self.revisions, wanted), collisions
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
            existing = await self.client.get(self.revisions.path_of(wanted))
            if history.same_data(existing, wanted):
                return existing, collisions
            collisions += 1
            wanted = self._revision(stateful_set, wanted["revision"], collisions)

    async def _truncate(self, stateful_set: Object, pods: list[Object], current: Object, update: Object) -> None:
        """Deletes the oldest revisions that nothing uses, above the history limit."""
        live = {name_of(current), name_of(update), *map(revision_of, pods)}
        unused = [
            r
            for r in history.in_order(self.revisions.owned_by(stateful_set["metadata"]["uid"]))
            if name_of(r) not in live and not is_going(r)
        ]
        limit = stateful_set["spec"].get("revisionHistoryLimit", 10)
        for revision in unused[: max(len(unused) - limit, 0)]:
            await self.writes.delete(self.revisions, revision)

    # Pods

    async def _bring(self, stateful_set: Object, current: Object, update: Object, pods: list[Object]) -> None:
        """Makes, mends and deletes pods, as far as the order allows now."""
        spec = stateful_set["spec"]
        start, count = start_of(stateful_set), spec.get("replicas", 1)
        update_set = history.applied(stateful_set, update)
        current_set = history.applied(stateful_set, current)

        by_ordinal = {ordinal_of(pod): pod for pod in pods}
        replicas = []
        for ordinal in range(start, start + count):
            pod = by_ordinal.get(ordinal)
            if pod is None:
                old = _made_at_current(stateful_set, ordinal)
                pod = new_pod(current_set if old else update_set, ordinal, name_of(current if old else update))
            replicas.append(pod)
        condemned = [pod for pod in reversed(pods) if not start <= ordinal_of(pod) < start + count]
        first_unhealthy = next(
            (pod for pod in [*replicas, *reversed(condemned)] if self._unavailable(stateful_set, pod)), None
        )

        ordered = spec.get("podManagementPolicy") != "Parallel"

        async def bring(pod: Object) -> bool:
            return await self._replica(stateful_set, update_set, pod, ordered)

        async def mend(pod: Object) -> bool:
            await self.control.keep_claims(update_set, pod)
            return False

        async def condemn(pod: Object) -> bool:
            return await self._condemn(stateful_set, pod, first_unhealthy, ordered)

        for group, step in ((replicas, bring), (condemned, mend), (condemned, condemn)):
            if await _for_each(group, step, ordered):
                return
        if spec.get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate":
            await self._roll(stateful_set, update, replicas)

    def _unavailable(self, stateful_set: Object, pod: Object) -> bool:
        min_ready = stateful_set["spec"].get("minReadySeconds", 0)
        return is_going(pod) or not is_available(pod, min_ready, self.now())

    async def _replica(self, stateful_set: Object, update_set: Object, pod: Object, ordered: bool) -> bool:
        """Brings one pod nearer to what it should be; returns whether those after it must wait."""
        if is_terminal(pod):
            if not is_going(pod):
                await self.control.delete(stateful_set, pod)
            return True
        if not phase_of(pod):
            if self.control.has_stale_claim(stateful_set, pod):
                self.queue.add_after(key_of(stateful_set), 0.1)
                return True
            await self.control.create(stateful_set, pod)
            if ordered:
                return True
            pod = self.pods.get(key_of(pod)) or pod
        if phase_of(pod) == "Pending":
            await self.control.make_claims(stateful_set, pod)
        if ordered and (phase_of(pod) != "Running" or self._unavailable(stateful_set, pod)):
            return True
        if not identity_matches(stateful_set, pod) or not self.control.claims_are_kept(update_set, pod):
            await self.control.update(update_set, pod)
        return False

    async def _condemn(self, stateful_set: Object, pod: Object, first_unhealthy: Object | None, ordered: bool) -> bool:
        if is_going(pod):
            return ordered
        unhealthy = self._unavailable(stateful_set, pod)
        if unhealthy and ordered and (first_unhealthy is None or key_of(pod) != key_of(first_unhealthy)):
            return True
        await self.control.delete(stateful_set, pod)
        return True

    async def _roll(self, stateful_set: Object, update: Object, replicas: list[Object]) -> None:
        """Replaces pods of older revisions one at a time, from the highest ordinal down to the partition."""
        rolling = stateful_set["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
        for pod in reversed(replicas[rolling.get("partition", 0) :]):
            if revision_of(pod) != name_of(update) and not is_going(pod):
                await self.control.delete(stateful_set, pod)
                return
            if self._unavailable(stateful_set, pod):
                return

    # Status

    async def _write_status(
        self, stateful_set: Object, current: Object, update: Object, collisions: int, pods: list[Object]
    ) -> None:
        spec, now = stateful_set["spec"], self.now()
        min_ready, desired = spec.get("minReadySeconds", 0), spec.get("replicas", 1)
        created = [pod for pod in pods if phase_of(pod)]
        ready = [pod for pod in created if phase_of(pod) == "Running" and is_ready(pod)]
        staying = [pod for pod in created if not is_going(pod)]
        status: Object = {
            "observedGeneration": stateful_set["metadata"].get("generation", 0),
            "replicas": len(created),
            "readyReplicas": len(ready),
            "availableReplicas": sum(is_available(pod, min_ready, now) for pod in ready),
            "currentReplicas": sum(revision_of(pod) == name_of(current) for pod in staying),
            "updatedReplicas": sum(revision_of(pod) == name_of(update) for pod in staying),
            "currentRevision": name_of(current),
            "updateRevision": name_of(update),
            "collisionCount": collisions,
        }
        rolls = spec.get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
        if rolls and status["updatedReplicas"] == status["readyReplicas"] == status["replicas"] == desired:
            status["currentReplicas"] = status["updatedReplicas"]
            status["currentRevision"] = status["updateRevision"]
        status = dropping_empty(status, _OMITTED)
        old = stateful_set.get("status") or {}
        if {**status, "collisionCount": 0} != {**old, "collisionCount": 0} or status["collisionCount"] != old.get(
            "collisionCount"
        ):
            await self.writes.status(self.sets, stateful_set, status)
            if status["currentRevision"] != old.get("currentRevision"):
                self.queue.add(f"{namespace_of(stateful_set)}/{name_of(stateful_set)}")


def _made_at_current(stateful_set: Object, ordinal: int) -> bool:
    """Whether a missing pod is made of the current revision: it is below the partition of a rolling update."""
    strategy = stateful_set["spec"].get("updateStrategy", {})
    rolling = strategy.get("rollingUpdate")
    if rolling is not None:
        return ordinal < start_of(stateful_set) + int(rolling.get("partition", 0))
    present = (stateful_set.get("status") or {}).get("currentReplicas", 0)
    return strategy.get("type", "RollingUpdate") == "RollingUpdate" and ordinal < start_of(stateful_set) + present


async def _for_each(pods: list[Object], step: Step, ordered: bool) -> bool:
    """Takes a step for each pod, in order until one says stop, or for all at once; returns whether to stop."""
    if ordered:
        for pod in pods:
            if await step(pod):
                return True
        return False
    _, error = await slow_start(len(pods), lambda index: step(pods[index]))
    if error is not None:
        raise error
    return False
