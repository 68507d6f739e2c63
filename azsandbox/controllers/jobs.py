"""Jobs: pods that run to completion, so many times.

Every pod of a Job has a finalizer until the Job's status has counted it, so none is
counted twice or lost. Source of the rules: Kubernetes 1.35, pkg/controller/job.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers import job_indexes, job_policies
from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder, timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.job_indexes import index_of
from azsandbox.controllers.job_pods import TRACKING, JobPods, has_finalizer, replaces_failed_only
from azsandbox.controllers.objects import condition_of, copy_of, dropping_empty, is_going, is_true, time_of, uid_of
from azsandbox.controllers.ownership import Claims
from azsandbox.controllers.pod_control import PodControl
from azsandbox.controllers.pods import is_active, is_ready, is_terminating, phase_of
from azsandbox.kubernetes.errors import StatusError

OWN = "kubernetes.io/job-controller"
_OMITTED = ("active", "succeeded", "failed", "completedIndexes", "startTime", "completionTime")
MOST_UNCOUNTED = 500  # pods in status.uncountedTerminatedPods


@dataclass
class Sync:
    """What one look at a Job and its pods found."""

    job: Object
    pods: list[Object]
    active: list[Object] = field(default_factory=list)
    ready: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    backoff: tuple[int, dt.datetime | None] = (0, None)
    finished: Object | None = None  # the condition that ends the Job
    before_indexes: set[int] = field(default_factory=set)  # succeeded, by the status
    succeeded_indexes: set[int] = field(default_factory=set)
    failed_indexes: set[int] | None = None  # None without backoffLimitPerIndex
    delayed: dict[int, Object] = field(default_factory=dict)  # the last failed pod of an index that will be tried again

    @property
    def spec(self) -> Object:
        spec: Object = self.job["spec"]
        return spec

    @property
    def status(self) -> Object:
        status: Object = self.job["status"]
        return status

    @property
    def indexed(self) -> bool:
        return bool(self.spec.get("completionMode") == "Indexed")

    @property
    def per_index(self) -> bool:
        """Whether each index has a backoff limit of its own."""
        return self.spec.get("backoffLimitPerIndex") is not None

    @property
    def suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    def uncounted(self, kind: str) -> list[str]:
        """UIDs of pods that ended and are not in the counts yet; `kind` is succeeded or failed."""
        return self.status["uncountedTerminatedPods"].get(kind) or []

    def has_failed(self, pod: Object) -> bool:
        if phase_of(pod) == "Failed":
            return True
        return not replaces_failed_only(self.spec) and is_going(pod) and phase_of(pod) != "Succeeded"

    def counts(self, pod: Object) -> bool:
        """Whether the pod's index, if the Job has indexes, is one of the Job's."""
        return not self.indexed or 0 <= index_of(pod) < self.spec["completions"]


def finished_condition(job: Object) -> Object | None:
    """The condition Complete or Failed of a Job that has ended."""
    status = job.get("status") or {}
    return next((condition_of(status, kind) for kind in ("Complete", "Failed") if is_true(status, kind)), None)


class JobController(Controller):
    """Runs Jobs."""

    name = "job-controller"
    workers = 5

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.jobs = self.follow(informers.of("batch/v1", "jobs"))
        self.pods = informers.of("v1", "pods")
        self.claims = Claims(self.writes, self.jobs, self.pods, "batch/v1", "Job")
        self.follow(self.pods, self.claims.owners_of)
        self.recorder = EventRecorder(self.client, self.name)
        self.control = PodControl(self.writes, self.pods, self.recorder)
        self.job_pods = JobPods(self)
        self._backoff: dict[str, tuple[int, dt.datetime | None]] = {}

    async def reconcile(self, key: str) -> None:
        cached = self.jobs.get(key)
        if cached is None or finished_condition(cached) is not None:
            self._backoff.pop(key, None)
            await self._release_orphans(key, cached)
            return
        if cached["spec"].get("managedBy", OWN) != OWN:
            return
        job = copy_of(cached)
        status = job.setdefault("status", {})
        status.setdefault("uncountedTerminatedPods", {})
        pods = await self.claims.claim(job, self.claims.candidates(job), finalizer=TRACKING)
        sync = self._look(job, pods)
        if "startTime" not in status and not sync.suspended:
            status["startTime"] = timestamp(self.now())
        sync.backoff = self._count_backoff(key, sync)

        self._judge(key, sync)
        flush = False
        active, failure = len(sync.active), None
        if sync.finished is not None:
            failure = await self._stop(sync)
            active -= active if failure is None else 0
        else:
            if not is_going(job):
                active, failure = await self.job_pods.manage(key, sync)
            completions = sync.spec.get("completions")
            enough = sync.succeeded > 0 if completions is None else sync.succeeded >= completions
            if enough and active == 0:
                message = "Reached expected number of succeeded pods"
                sync.finished = self._condition("SuccessCriteriaMet", "CompletionsReached", message)
            elif not is_going(job):
                flush = await self._say_suspended(sync)
        flush = flush or (active, sync.ready, sync.terminating) != (
            status.get("active", 0),
            status.get("ready"),
            status.get("terminating"),
        )
        status["active"], status["ready"], status["terminating"] = active, sync.ready, sync.terminating
        await self._track(key, sync, flush)
        if failure is not None:
            raise failure

    async def _release_orphans(self, key: str, job: Object | None) -> None:
        """Takes the finalizer off pods that no running Job will count any more."""
        namespace, _, name = key.partition("/")
        left = [
            pod
            for pod in self.pods.by_namespace.get(namespace, {}).values()
            if has_finalizer(pod)
            and any(
                o.get("controller")
                and o["kind"] == "Job"
                and o["name"] == name
                and (job is None or o["uid"] == uid_of(job))
                for o in pod["metadata"].get("ownerReferences") or ()
            )
        ]
        await self.job_pods.remove_finalizers(left)

    def _look(self, job: Object, pods: list[Object]) -> Sync:
        """Counts pods: those in the status, those still uncounted, and those that ended just now."""
        sync = Sync(job, pods, active=[pod for pod in pods if is_active(pod)])
        sync.ready = sum(map(is_ready, sync.active))
        sync.terminating = sum(map(is_terminating, pods))
        sync.succeeded = (
            sync.status.get("succeeded", 0) + len(self._new(sync, "succeeded")) + len(sync.uncounted("succeeded"))
        )
        policy = sync.spec.get("podFailurePolicy")
        counted = [pod for pod in self._new(sync, "failed") if job_policies.failure_action(policy, pod)[0] != "Ignore"]
        sync.failed = sync.status.get("failed", 0) + len(counted) + len(sync.uncounted("failed"))
        return sync

    def _new(self, sync: Sync, kind: str) -> list[Object]:
        """Pods that ended and that the status does not know of yet."""
        ended = sync.has_failed if kind == "failed" else (lambda pod: phase_of(pod) == "Succeeded")
        return [
            pod
            for pod in sync.pods
            if has_finalizer(pod) and uid_of(pod) not in sync.uncounted(kind) and sync.counts(pod) and ended(pod)
        ]

    def _count_backoff(self, key: str, sync: Sync) -> tuple[int, dt.datetime | None]:
        before = self._backoff.get(key, (0, None))
        return job_policies.failures_since_success(before, self._new(sync, "succeeded"), self._new(sync, "failed"))

    def _condition(self, kind: str, reason: str, message: str, status: str = "True") -> Object:
        now = timestamp(self.now())
        return {
            "type": kind,
            "status": status,
            "lastProbeTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }

    def _judge(self, key: str, sync: Sync) -> None:
        """Whether the Job ends here, and why. In place."""
        spec, status = sync.spec, sync.status
        met = condition_of(status, "SuccessCriteriaMet")
        target = condition_of(status, "FailureTarget")
        if met and met["status"] == "True":
            sync.finished = met
        elif target and target["status"] == "True":
            sync.finished = self._condition("Failed", target["reason"], target["message"])
        elif message := self._policy_failure(sync):
            sync.finished = self._condition("FailureTarget", "PodFailurePolicy", message)
        elif sync.failed > spec.get("backoffLimit", 6) or self._past_restarts(sync):
            message = "Job has reached the specified backoff limit"
            sync.finished = self._condition("FailureTarget", "BackoffLimitExceeded", message)
        elif spec.get("activeDeadlineSeconds") is not None and not sync.suspended:
            started = time_of(status.get("startTime")) or self.now()
            left = spec["activeDeadlineSeconds"] - (self.now() - started).total_seconds()
            if left <= 0:
                message = "Job was active longer than specified deadline"
                sync.finished = self._condition("FailureTarget", "DeadlineExceeded", message)
            else:
                self.queue.add_after(key, left)
        if sync.indexed:
            self._judge_indexes(sync)

    def _judge_indexes(self, sync: Sync) -> None:
        spec, completions = sync.spec, sync.spec["completions"]
        sync.before_indexes = job_indexes.parse(sync.status.get("completedIndexes"), completions)
        fresh = {
            index_of(pod)
            for pod in sync.pods
            if phase_of(pod) == "Succeeded" and has_finalizer(pod) and sync.counts(pod)
        }
        sync.succeeded_indexes = sync.before_indexes | fresh
        sync.succeeded = len(sync.succeeded_indexes)
        if sync.per_index:
            failed = self._failed_indexes(sync)
            sync.failed_indexes = failed
            if sync.finished is None:
                most = spec.get("maxFailedIndexes")
                if most is not None and len(failed) > most:
                    message = "Job has exceeded the specified maximal number of failed indexes"
                    sync.finished = self._condition("FailureTarget", "MaxFailedIndexesExceeded", message)
                elif failed and len(failed) + sync.succeeded >= completions:
                    sync.finished = self._condition("FailureTarget", "FailedIndexes", "Job has failed indexes")
            sync.delayed = self._delayed(sync, failed)
        if sync.finished is None:
            message = job_policies.success_message(spec.get("successPolicy"), completions, sync.succeeded_indexes)
            if message:
                sync.finished = self._condition("SuccessCriteriaMet", "SuccessPolicy", message)

    def _policy_failure(self, sync: Sync) -> str:
        policy = sync.spec.get("podFailurePolicy")
        if policy is None:
            return ""
        for pod in filter(sync.has_failed, sync.pods):
            action, message = job_policies.failure_action(policy, pod)
            if action == "FailJob":
                return message
        return ""

    def _past_restarts(self, sync: Sync) -> bool:
        """Whether containers that restart in their pods have used up the backoff limit."""
        if sync.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return False
        restarts = sum(
            container.get("restartCount", 0)
            for pod in sync.pods
            if phase_of(pod) in ("Running", "Pending")
            for group in ("initContainerStatuses", "containerStatuses")
            for container in pod["status"].get(group) or ()
        )
        limit = sync.spec.get("backoffLimit", 6)
        return restarts > 0 if limit == 0 else restarts >= limit

    def _failed_indexes(self, sync: Sync) -> set[int]:
        policy, limit = sync.spec.get("podFailurePolicy"), sync.spec["backoffLimitPerIndex"]
        found = job_indexes.parse(sync.status.get("failedIndexes"), sync.spec["completions"])
        for pod in sync.pods:
            if not has_finalizer(pod) or not sync.counts(pod) or not sync.has_failed(pod):
                continue
            action, _ = job_policies.failure_action(policy, pod)
            if action == "FailIndex" or (action != "Ignore" and job_indexes.failures_of(pod) >= limit):
                found.add(index_of(pod))
        return found

    def _delayed(self, sync: Sync, failed: set[int]) -> dict[int, Object]:
        """The last failed pod of each index that is to be tried again: it stays until its successor is made."""
        busy = {index_of(pod) for pod in sync.active} | sync.succeeded_indexes | failed
        found: dict[int, Object] = {}
        for pod in sync.pods:
            index = index_of(pod)
            if not has_finalizer(pod) or not sync.counts(pod) or not sync.has_failed(pod) or index in busy:
                continue
            last = found.get(index)
            if last is None or (
                job_indexes.all_failures_of(last) <= job_indexes.all_failures_of(pod)
                and job_policies.finished_at(pod) >= job_policies.finished_at(last)
            ):
                found[index] = pod
        return found

    async def _stop(self, sync: Sync) -> StatusError | None:
        """Deletes the pods that still run; the Job ends when they are gone."""
        error = await self.control.delete_all(sync.job, sync.active)
        if error is not None:
            sync.finished = None
            return error
        sync.ready = 0
        sync.terminating += len(sync.active)
        return None

    async def _say_suspended(self, sync: Sync) -> bool:
        """Sets the condition Suspended; returns whether it changed."""
        status = sync.status
        reason, message, value = (
            ("JobSuspended", "Job suspended", "True") if sync.suspended else ("JobResumed", "Job resumed", "False")
        )
        if not _ensure(status, self._condition("Suspended", reason, message, value)):
            return False
        await self.recorder.event(sync.job, "Normal", "Suspended" if sync.suspended else "Resumed", message)
        if not sync.suspended:
            status["startTime"] = timestamp(self.now())
        return True

    # Status

    async def _track(self, key: str, sync: Sync, flush: bool) -> None:
        """Counts ended pods in three steps: their uids into the status, their finalizers off, their number into the counts."""
        with_finalizer = {uid_of(pod) for pod in sync.pods if has_finalizer(pod)}
        flush |= _count(sync.status, with_finalizer)
        released: list[Object] = []
        new_indexes: set[int] = set()
        for pod in sorted(sync.pods, key=index_of):
            if not has_finalizer(pod) or not self._may_release(sync, pod):
                continue
            released.append(pod)
            flush |= self._enter(sync, pod, new_indexes)
            if len(new_indexes) + len(sync.uncounted("succeeded")) + len(sync.uncounted("failed")) >= MOST_UNCOUNTED:
                self.queue.add(key)
                break
        if sync.indexed:
            flush |= self._enter_indexes(sync, new_indexes)
        flush |= self._enter_target(sync)

        if flush:
            await self._flush(sync)
            self._backoff[key] = sync.backoff
        error = await self.job_pods.remove_finalizers(released)
        if error is not None:
            raise error
        with_finalizer -= {uid_of(pod) for pod in released}
        flush = _count(sync.status, with_finalizer)
        await self._end(sync, flush)

    def _may_release(self, sync: Sync, pod: Object) -> bool:
        if is_going(sync.job) or sync.finished is not None or phase_of(pod) == "Succeeded":
            return True
        if not sync.has_failed(pod):
            return False
        delayed = sync.delayed.get(index_of(pod))
        return delayed is None or uid_of(delayed) != uid_of(pod)

    def _enter(self, sync: Sync, pod: Object, new_indexes: set[int]) -> bool:
        """Puts an ended pod among the uncounted; returns whether the status changed. In place."""
        uncounted = sync.status["uncountedTerminatedPods"]
        uid, index = uid_of(pod), index_of(pod)
        if phase_of(pod) == "Succeeded" and uid not in sync.uncounted("failed"):
            if sync.indexed:
                if not sync.counts(pod) or index in sync.before_indexes:
                    return False
                new_indexes.add(index)
                return True
            if uid not in sync.uncounted("succeeded"):
                uncounted.setdefault("succeeded", []).append(uid)
                return True
            return False
        fails = sync.finished is not None and sync.finished["type"] != "SuccessCriteriaMet"
        if not (sync.has_failed(pod) or fails) or uid in sync.uncounted("failed") or not sync.counts(pod):
            return False
        if job_policies.failure_action(sync.spec.get("podFailurePolicy"), pod)[0] == "Ignore":
            return False
        uncounted.setdefault("failed", []).append(uid)
        return True

    def _enter_indexes(self, sync: Sync, new_indexes: set[int]) -> bool:
        status = sync.status
        sync.succeeded_indexes |= new_indexes
        text = job_indexes.text_of(sync.succeeded_indexes)
        changed = text != status.get("completedIndexes", "")
        status["succeeded"], status["completedIndexes"] = len(sync.succeeded_indexes), text
        if sync.failed_indexes is not None:
            failed = job_indexes.text_of(sync.failed_indexes)
            changed |= failed != status.get("failedIndexes")
            status["failedIndexes"] = failed
        return changed or bool(new_indexes)

    def _enter_target(self, sync: Sync) -> bool:
        """Announces the end by FailureTarget or SuccessCriteriaMet; the end itself comes when no pod is left."""
        finished = sync.finished
        if finished is None:
            return False
        conditions = sync.status.setdefault("conditions", [])
        if finished["type"] == "FailureTarget":
            conditions.append(finished)
            sync.finished = self._condition("Failed", finished["reason"], finished["message"])
            return True
        if finished["type"] == "SuccessCriteriaMet":
            known = is_true(sync.status, "SuccessCriteriaMet")
            if not known:
                conditions.append(finished)
            sync.finished = self._condition("Complete", finished.get("reason", ""), finished.get("message", ""))
            return not known
        return False

    async def _flush(self, sync: Sync) -> None:
        sync.job["status"] = dropping_empty(sync.status, _OMITTED)
        written = await self.writes.update(self.jobs, sync.job, "status")
        written.setdefault("status", {}).setdefault("uncountedTerminatedPods", {})
        sync.job = written

    async def _end(self, sync: Sync, flush: bool) -> None:
        """Writes the last counts, and the end if all pods are counted and gone."""
        finished = sync.finished
        ends = (
            finished is not None
            and not sync.uncounted("succeeded")
            and not sync.uncounted("failed")
            and sync.terminating == 0
        )
        if finished is not None and ends:
            _ensure(sync.status, finished)
            if finished["type"] == "Complete":
                sync.status["completionTime"] = finished["lastTransitionTime"]
        if flush or ends:
            await self._flush(sync)
        if finished is not None and ends:
            await self._tell_end(sync, finished)

    async def _tell_end(self, sync: Sync, finished: Object) -> None:
        if finished["type"] == "Failed":
            await self.recorder.event(sync.job, "Warning", finished["reason"], finished["message"])
            return
        completions = sync.spec.get("completions")
        if completions is not None and sync.status.get("succeeded", 0) > completions:
            message = "Too many succeeded pods running after completion count reached"
            await self.recorder.event(sync.job, "Warning", "TooManySucceededPods", message)
        await self.recorder.event(sync.job, "Normal", "Completed", "Job completed")


def _ensure(status: Object, condition: Object) -> bool:
    """Puts a condition into a status; returns whether it changed. One that is false is not begun with. In place."""
    found = condition_of(status, condition["type"])
    if found is None:
        if condition["status"] == "False":
            return False
        status.setdefault("conditions", []).append(condition)
        return True
    if all(found.get(key) == condition[key] for key in ("status", "reason", "message")):
        return False
    found.clear()
    found.update(condition)
    return True


def _count(status: Object, with_finalizer: set[str]) -> bool:
    """Moves uncounted pods whose finalizer is off into the counts; returns whether there were any. In place."""
    changed = False
    uncounted = status["uncountedTerminatedPods"]
    for kind in ("succeeded", "failed"):
        uids = uncounted.get(kind) or []
        left = [uid for uid in uids if uid in with_finalizer]
        if len(left) != len(uids):
            status[kind] = status.get(kind, 0) + len(uids) - len(left)
            changed = True
            if left:
                uncounted[kind] = left
            else:
                uncounted.pop(kind)
    return changed
