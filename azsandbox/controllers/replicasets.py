"""ReplicaSets: so many pods of a template.

Source of the rules: Kubernetes 1.35, pkg/controller/replicaset.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder, timestamp
from azsandbox.controllers.informer import Controller, Informers, controller_of
from azsandbox.controllers.objects import (
    condition_of,
    controller_reference,
    dropping_empty,
    is_going,
    labels_of,
    namespace_is_going,
    namespace_of,
    uid_of,
)
from azsandbox.controllers.ownership import Claims
from azsandbox.controllers.pod_control import BURST, PodControl, slow_start
from azsandbox.controllers.pods import (
    in_deletion_order,
    is_active,
    is_available,
    is_ready,
    is_terminating,
    next_availability,
)
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.selectors import from_object

_OMITTED = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")


class ReplicaSetController(Controller):
    """Keeps spec.replicas pods for each ReplicaSet."""

    name = "replicaset-controller"
    api_version, kind, resource = "apps/v1", "ReplicaSet", "replicasets"
    counts_terminating = True  # status.terminatingReplicas
    workers = 5

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.sets = self.follow(informers.of(self.api_version, self.resource))
        self.pods = informers.of("v1", "pods")
        self.claims = Claims(self.writes, self.sets, self.pods, self.api_version, self.kind)
        self.follow(self.pods, self.claims.owners_of)
        self.recorder = EventRecorder(self.client, self.name)
        self.control = PodControl(self.writes, self.pods, self.recorder)

    async def reconcile(self, key: str) -> None:
        replica_set = self.sets.get(key)
        if replica_set is None:
            return
        candidates = self.claims.candidates(replica_set)
        active = await self.claims.claim(replica_set, filter(is_active, candidates))

        failure = None
        if not is_going(replica_set):
            failure = await self._scale(replica_set, active)
            # what was made or deleted shows in the cache by now
            replica_set = self.sets.get(key) or replica_set
            active = self._claimed(replica_set, filter(is_active, self.claims.candidates(replica_set)))
        terminating = self._claimed(replica_set, filter(is_terminating, self.claims.candidates(replica_set)))

        await self._write_status(replica_set, active, terminating, failure)
        if failure is not None:
            raise failure

        wait = next_availability(active, replica_set["spec"].get("minReadySeconds", 0), self.now())
        if wait is not None:
            self.queue.add_after(key, wait)

    def _claimed(self, replica_set: Object, pods: Iterable[Object]) -> list[Object]:
        """Those of `pods` that are the set's and match its selector."""
        selector = self.claims.selector(replica_set)
        uid = uid_of(replica_set)
        return [
            pod
            for pod in pods
            if (owner := controller_of(pod)) and owner["uid"] == uid and selector.matches_labels(labels_of(pod))
        ]

    async def _scale(self, replica_set: Object, active: list[Object]) -> StatusError | None:
        """Makes or deletes pods; returns the first error."""
        missing = replica_set["spec"].get("replicas", 1) - len(active)
        if missing > 0:
            template = replica_set["spec"]["template"]
            reference = controller_reference(replica_set, self.api_version, self.kind)

            async def make(index: int) -> None:
                try:
                    await self.control.create(replica_set, template, reference)
                except StatusError as error:
                    if not namespace_is_going(error):
                        raise

            return (await slow_start(min(missing, BURST), make))[1]
        if missing < 0:
            surplus = min(-missing, BURST)
            ordered = in_deletion_order(active, self._related(replica_set), self.now())
            return await self.control.delete_all(replica_set, ordered[:surplus])
        return None

    def _related(self, replica_set: Object) -> list[Object]:
        """Pods of all the sets that have the same owner."""
        owner = controller_of(replica_set)
        siblings = self.sets.owned_by(owner["uid"]) if owner else [replica_set]
        found: dict[str, Object] = {}
        for sibling in siblings:
            selector = self.claims.selector(sibling)
            for pod in self.pods.by_namespace.get(namespace_of(sibling), {}).values():
                if selector.matches_labels(labels_of(pod)):
                    found[uid_of(pod)] = pod
        return list(found.values())

    async def _write_status(
        self, replica_set: Object, active: list[Object], terminating: list[Object], failure: StatusError | None
    ) -> None:
        old = replica_set.get("status") or {}
        spec = replica_set["spec"]
        template_labels = from_object({"matchLabels": labels_of(spec["template"])})
        min_ready, now = spec.get("minReadySeconds", 0), self.now()
        status: Object = {
            **old,
            "replicas": len(active),
            "fullyLabeledReplicas": sum(template_labels.matches_labels(labels_of(pod)) for pod in active),
            "readyReplicas": sum(map(is_ready, active)),
            "availableReplicas": sum(is_available(pod, min_ready, now) for pod in active),
            "observedGeneration": replica_set["metadata"].get("generation", 0),
        }
        if self.counts_terminating:
            status["terminatingReplicas"] = len(terminating)

        failed = condition_of(old, "ReplicaFailure")
        if failure is not None and failed is None:
            reason = "FailedCreate" if len(active) < spec.get("replicas", 1) else "FailedDelete"
            condition = {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": timestamp(now),
                "reason": reason,
                "message": failure.message,
            }
            status["conditions"] = [*(old.get("conditions") or ()), condition]
        elif failure is None and failed is not None:
            status["conditions"] = [c for c in old["conditions"] if c["type"] != "ReplicaFailure"]
        if not status.get("conditions"):
            status.pop("conditions", None)
        status = dropping_empty(status, _OMITTED)
        if status != old:
            await self.writes.status(self.sets, replica_set, status)
