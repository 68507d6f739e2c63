"""The pods of Jobs: how many there should be now, for which indexes, and their finalizers.

Source of the rules: Kubernetes 1.35, pkg/controller/job.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from azsandbox.controllers import job_indexes, job_policies
from azsandbox.controllers.client import STRATEGIC, Object
from azsandbox.controllers.job_indexes import index_of
from azsandbox.controllers.objects import controller_reference, name_of, namespace_is_going
from azsandbox.controllers.pod_control import BURST, first_error, slow_start
from azsandbox.controllers.pods import in_deletion_order, is_ready, is_terminating
from azsandbox.kubernetes.errors import StatusError

if TYPE_CHECKING:
    from azsandbox.controllers.jobs import JobController, Sync

TRACKING = "batch.kubernetes.io/job-tracking"
_ENVIRONMENT = "JOB_COMPLETION_INDEX"
_LONGEST_PREFIX = 58  # characters of a generated name before its random end


def has_finalizer(pod: Object) -> bool:
    """Whether its Job has not counted the pod yet."""
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def replaces_failed_only(spec: Object) -> bool:
    """Whether a pod that is going is replaced only when it has ended."""
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None


def add_index_variable(spec: Object) -> None:
    """Gives every container the completion index in its environment. In place."""
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        environment = container.setdefault("env", [])
        if not any(variable["name"] == _ENVIRONMENT for variable in environment):
            source = {"fieldRef": {"fieldPath": f"metadata.labels['{job_indexes.INDEX}']"}}
            environment.append({"name": _ENVIRONMENT, "valueFrom": source})


def generated_name(job: Object, index: int) -> str:
    """The prefix of the name of an index's pod."""
    end = f"-{index}-"
    return name_of(job)[: _LONGEST_PREFIX - len(end)] + end


class JobPods:
    """Makes and deletes pods of Jobs."""

    def __init__(self, controller: JobController) -> None:
        self.controller = controller

    async def manage(self, key: str, sync: Sync) -> tuple[int, StatusError | None]:
        """Brings the number of pods to what it should be; returns the active ones and the first error."""
        active = len(sync.active)
        if sync.suspended:
            return await self._delete(sync, sync.active)
        parallelism, completions = sync.spec.get("parallelism", 1), sync.spec.get("completions")
        if completions is None:
            wanted = active if sync.succeeded > 0 else parallelism
        else:
            wanted = max(min(completions - sync.succeeded, parallelism), 0)

        surplus = self._surplus(sync, max(active - wanted, 0))[:BURST]
        if surplus:
            return await self._delete(sync, surplus)
        missing = wanted - active - (sync.terminating if replaces_failed_only(sync.spec) else 0)
        if missing > 0:
            return await self._create(key, sync, min(missing, BURST))
        return active, None

    def _surplus(self, sync: Sync, least: int) -> list[Object]:
        """Pods to delete: those whose index is taken or out of range, and others up to `least`."""
        remove: list[Object] = []
        left = sync.active
        now = self.controller.now()
        if sync.indexed:
            by_index: dict[int, list[Object]] = {}
            for pod in sync.active:
                by_index.setdefault(index_of(pod) if sync.counts(pod) else -1, []).append(pod)
            remove = by_index.pop(-1, [])
            left = []
            for pods in by_index.values():
                *first, last = in_deletion_order(pods, (), now)
                remove += first
                left.append(last)
        if len(remove) < least:
            remove = remove + in_deletion_order(left, (), now)[: least - len(remove)]
        return remove

    async def _delete(self, sync: Sync, pods: list[Object]) -> tuple[int, StatusError | None]:
        """Deletes pods that shall not be counted, so their finalizer goes first."""
        error = await self.remove_finalizers(pods)
        if error is None:
            error = await self.controller.control.delete_all(sync.job, pods)
        if error is not None:
            return len(sync.active), error
        sync.ready -= sum(map(is_ready, pods))
        sync.terminating += len(pods)
        return len(sync.active) - len(pods), None

    async def _create(self, key: str, sync: Sync, missing: int) -> tuple[int, StatusError | None]:
        active, queue, now = len(sync.active), self.controller.queue, self.controller.now()
        if not sync.per_index:
            wait = job_policies.remaining_backoff(*sync.backoff, now)
            if wait > 0:
                queue.add_after(key, wait)
                return active, None
        indexes: list[int] = []
        if sync.indexed:
            indexes = self._pending_indexes(sync, missing)
            if sync.per_index:
                waits = {index: self._index_wait(sync, index) for index in indexes}
                indexes = [index for index in indexes if waits[index] == 0]
                if not indexes and waits:
                    queue.add_after(key, min(waits.values()))
            missing = len(indexes)
        reference = controller_reference(sync.job, "batch/v1", "Job")
        template = sync.spec["template"]

        async def make(number: int) -> None:
            index = indexes[number] if sync.indexed else -1
            try:
                await self.controller.control.create(
                    sync.job, template, reference, lambda pod: self._prepare(sync, pod, index)
                )
            except StatusError as error:
                if not namespace_is_going(error):
                    raise

        made, error = await slow_start(missing, make)
        return active + made, error

    def _pending_indexes(self, sync: Sync, count: int) -> list[int]:
        taken = {index_of(pod) for pod in sync.active} | sync.succeeded_indexes | (sync.failed_indexes or set())
        if replaces_failed_only(sync.spec):
            taken |= {index_of(pod) for pod in filter(is_terminating, sync.pods)}
        free = (index for index in range(sync.spec["completions"]) if index not in taken)
        return [index for index, _ in zip(free, range(count), strict=False)]

    def _index_wait(self, sync: Sync, index: int) -> float:
        """Seconds before an index is tried again."""
        last = sync.delayed.get(index)
        if last is None:
            return 0.0
        failures = job_indexes.all_failures_of(last) + 1
        return job_policies.remaining_backoff(failures, job_policies.finished_at(last), self.controller.now())

    def _prepare(self, sync: Sync, pod: Object, index: int) -> None:
        """Puts on a new pod the finalizer and, if it has one, its index. In place."""
        metadata = pod["metadata"]
        finalizers = metadata.setdefault("finalizers", [])
        if TRACKING not in finalizers:
            finalizers.append(TRACKING)
        if index < 0:
            return
        add_index_variable(pod["spec"])
        metadata["generateName"] = generated_name(sync.job, index)
        metadata.setdefault("labels", {})[job_indexes.INDEX] = str(index)
        annotations = metadata.setdefault("annotations", {})
        annotations[job_indexes.INDEX] = str(index)
        pod["spec"]["hostname"] = f"{name_of(sync.job)}-{index}"
        if sync.per_index:
            failures, ignored = self._failures_before(sync, sync.delayed.get(index))
            annotations[job_indexes.FAILURES] = str(failures)
            if ignored:
                annotations[job_indexes.IGNORED_FAILURES] = str(ignored)

    def _failures_before(self, sync: Sync, last: Object | None) -> tuple[int, int]:
        """Failures of an index that count, and those that a policy ignores."""
        if last is None:
            return 0, 0
        counted = job_indexes.failures_of(last)
        ignored = job_indexes.all_failures_of(last) - counted
        if job_policies.failure_action(sync.spec.get("podFailurePolicy"), last)[0] == "Ignore":
            return counted, ignored + 1
        return counted + 1, ignored

    async def remove_finalizers(self, pods: list[Object]) -> StatusError | None:
        """Takes the tracking finalizer off; returns the first error."""
        results = await asyncio.gather(
            *(self._remove_finalizer(pod) for pod in pods if has_finalizer(pod)), return_exceptions=True
        )
        return first_error(results)

    async def _remove_finalizer(self, pod: Object) -> None:
        change = {"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING]}}
        try:
            await self.controller.writes.patch(self.controller.pods, pod, change, STRATEGIC)
        except StatusError as error:
            if error.code != 404:
                raise
