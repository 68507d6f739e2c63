"""CronJobs: Jobs at times of a schedule.

Source of the rules: Kubernetes 1.35, pkg/controller/cronjob.
"""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import Any

from azsandbox.controllers import cron_schedule
from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.cron_schedule import Schedule
from azsandbox.controllers.events import EventRecorder, reference, timestamp
from azsandbox.controllers.informer import Controller, Informers, controller_of
from azsandbox.controllers.jobs import finished_condition
from azsandbox.controllers.objects import (
    annotations_of,
    controller_reference,
    copy_of,
    is_going,
    labels_of,
    name_of,
    namespace_is_going,
    namespace_of,
    owned_by,
    time_of,
    uid_of,
)
from azsandbox.kubernetes.errors import StatusError

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_DELTA = 0.1  # seconds after a scheduled time
_MANY = 100  # missed starts that are worth a warning


class CronJobController(Controller):
    """Starts Jobs on time and clears old ones away."""

    name = "cronjob-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.cron_jobs = self.follow(informers.of("batch/v1", "cronjobs"))
        self.jobs = self.follow(informers.of("batch/v1", "jobs"), _cron_job_of)
        self.recorder = EventRecorder(self.client, self.name)

    async def reconcile(self, key: str) -> None:
        cached = self.cron_jobs.get(key)
        if cached is None:
            return
        cron_job = copy_of(cached)
        before = copy_of(cron_job.setdefault("status", {}))
        jobs = [
            job
            for job in self.jobs.list(namespace_of(cron_job))
            if (owner := controller_of(job)) and owner["name"] == name_of(cron_job) and owner["kind"] == "CronJob"
        ]
        await self._clear_history(cron_job, jobs)
        await self._follow_jobs(cron_job, jobs)
        failure, wait = None, None
        if not is_going(cron_job):
            try:
                wait = await self._start(cron_job)
            except StatusError as error:
                failure = error
        if not cron_job["status"].get("active"):
            cron_job["status"].pop("active", None)
        if cron_job["status"] != before:
            await self.writes.update(self.cron_jobs, cron_job, "status")
        if wait is not None:
            self.queue.add_after(key, wait)
        if failure is not None:
            raise failure

    # Jobs that were started

    async def _clear_history(self, cron_job: Object, jobs: list[Object]) -> None:
        for kind, field, default in (
            ("Complete", "successfulJobsHistoryLimit", 3),
            ("Failed", "failedJobsHistoryLimit", 1),
        ):
            limit = cron_job["spec"].get(field, default)
            ended = [
                job
                for job in jobs
                if not is_going(job) and (found := finished_condition(job)) and found["type"] == kind
            ]
            ended.sort(key=_by_start)
            for job in ended[: max(len(ended) - limit, 0)]:
                await self._delete(cron_job, job)

    async def _delete(self, cron_job: Object, job: Object) -> bool:
        try:
            await self.writes.delete(self.jobs, job, {"propagationPolicy": "Background"})
        except StatusError as error:
            await self._tell(cron_job, "Warning", "FailedDelete", f"Deleted job: {error.message}")
            return False
        _forget(cron_job, uid_of(job))
        await self._tell(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")
        return True

    async def _follow_jobs(self, cron_job: Object, jobs: list[Object]) -> None:
        """Brings the list of active Jobs and the time of the last success up to date. In place."""
        status = cron_job["status"]
        known = set()
        for job in jobs:
            known.add(uid_of(job))
            listed = any(active["uid"] == uid_of(job) for active in status.get("active") or ())
            ended = finished_condition(job)
            if ended is None:
                if not listed:
                    message = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                    await self._tell(cron_job, "Warning", "UnexpectedJob", message)
                continue
            if listed:
                _forget(cron_job, uid_of(job))
                message = f"Saw completed job: {name_of(job)}, condition: {ended['type']}"
                await self._tell(cron_job, "Normal", "SawCompletedJob", message)
            completed = job["status"].get("completionTime")
            if ended["type"] == "Complete" and completed and completed > status.get("lastSuccessfulTime", ""):
                status["lastSuccessfulTime"] = completed
        for active in list(status.get("active") or ()):
            if active["uid"] not in known and self.jobs.get(f"{active['namespace']}/{active['name']}") is None:
                await self._tell(cron_job, "Normal", "MissingJob", f"Active job went missing: {active['name']}")
                _forget(cron_job, active["uid"])

    # Jobs to start

    async def _start(self, cron_job: Object) -> float | None:
        """Starts a Job if it is time; returns the seconds until it is time again."""
        spec, status, now = cron_job["spec"], cron_job["status"], self.now()
        if spec.get("suspend"):
            return None
        schedule = await self._schedule(cron_job)
        if schedule is None:
            return None
        due, missed = most_recent(cron_job, now, schedule, with_deadline=True)
        if missed > _MANY:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            await self._tell(cron_job, "Warning", "TooManyMissedTimes", message)
        wait = until_next(cron_job, now, schedule)
        if due is None:
            return wait
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and due + dt.timedelta(seconds=deadline) < now:
            text = format_datetime(due)
            await self._tell(cron_job, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {text}")
            return wait
        active = status.get("active") or []
        name = f"{name_of(cron_job)}-{int(due.timestamp()) // 60}"
        if any(job["name"] == name for job in active) or time_of(status.get("lastScheduleTime")) == due:
            return wait
        policy = spec.get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            await self._tell(cron_job, "Normal", "JobAlreadyActive", message)
            return wait
        if policy == "Replace":
            for listed in active:
                job = await self.client.get(self.jobs.path_of({"metadata": listed}))
                if not await self._delete(cron_job, job):
                    return wait
        if not await self._create(cron_job, name, due):
            return None
        status["lastScheduleTime"] = timestamp(due)
        return until_next(cron_job, now, schedule)

    async def _schedule(self, cron_job: Object) -> Schedule | None:
        """The parsed schedule; None, after an event about it, if it cannot be."""
        text, zone = cron_job["spec"]["schedule"], cron_job["spec"].get("timeZone") or ""
        try:
            cron_schedule.parse("@daily", zone)
        except cron_schedule.ScheduleError:
            message = f'invalid timeZone: "{zone}": unknown time zone {zone}'
            await self._tell(cron_job, "Warning", "UnknownTimeZone", message)
            return None
        if "TZ" in text:
            message = (
                f'CRON_TZ or TZ used in schedule "{text}" is not officially supported, see '
                "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            )
            await self._tell(cron_job, "Warning", "UnsupportedSchedule", message)
        try:
            return cron_schedule.parse(text, zone)
        except cron_schedule.ScheduleError as error:
            await self._tell(cron_job, "Warning", "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}')
            return None

    async def _create(self, cron_job: Object, name: str, due: dt.datetime) -> bool:
        """Makes the Job and lists it as active; returns whether it is ours. Raises StatusError after an event."""
        zone = cron_schedule.parse("@daily", cron_job["spec"].get("timeZone") or "").zone
        template = cron_job["spec"]["jobTemplate"]
        local = due.astimezone(zone).isoformat().replace("+00:00", "Z")
        job: Object = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": namespace_of(cron_job),
                "annotations": {**annotations_of(template), SCHEDULED_AT: local},
                "ownerReferences": [controller_reference(cron_job, "batch/v1", "CronJob")],
            },
            "spec": copy_of(template["spec"]),
        }
        if labels_of(template):
            job["metadata"]["labels"] = labels_of(template)
        try:
            made = await self.writes.create(self.jobs, job)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                if not namespace_is_going(error):
                    await self._tell(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
                raise
            made = await self.client.get(self.jobs.path_of(job))
            if not owned_by(made, cron_job):
                return False
        else:
            await self._tell(cron_job, "Normal", "SuccessfulCreate", f"Created job {name_of(made)}")
        made = {"apiVersion": "batch/v1", "kind": "Job", **made}
        cron_job["status"].setdefault("active", []).append(reference(made))
        return True

    async def _tell(self, cron_job: Object, kind: str, reason: str, message: str) -> None:
        await self.recorder.event(cron_job, kind, reason, message)


def most_recent(
    cron_job: Object, now: dt.datetime, schedule: Schedule, with_deadline: bool
) -> tuple[dt.datetime | None, int]:
    """The latest scheduled time that is past and not started, and how many were missed."""
    earliest = _earliest(cron_job)
    deadline = cron_job["spec"].get("startingDeadlineSeconds")
    if with_deadline and deadline is not None:
        earliest = max(earliest, now - dt.timedelta(seconds=deadline))
    first = schedule.next(earliest)
    if first is None or now < first:
        return None, 0
    second = schedule.next(first)
    if second is None or now < second:
        return first, 0
    between = round((second - first).total_seconds())
    missed = int((now - first).total_seconds()) // max(between, 1) + 1
    found: dt.datetime | None = None
    moment = schedule.next(first + dt.timedelta(seconds=(missed - 2) * between))
    while moment is not None and moment <= now:
        found, moment = moment, schedule.next(moment)
    return found, missed


def _earliest(cron_job: Object) -> dt.datetime:
    status = cron_job.get("status") or {}
    found = time_of(status.get("lastScheduleTime")) or time_of(cron_job["metadata"].get("creationTimestamp"))
    return found or dt.datetime.now(dt.UTC)


def until_next(cron_job: Object, now: dt.datetime, schedule: Schedule) -> float | None:
    """Seconds until the next scheduled time; None if there is none."""
    due, missed = most_recent(cron_job, now, schedule, with_deadline=False)
    following = schedule.next(due or (now if missed else _earliest(cron_job)))
    return None if following is None else max((following - now).total_seconds(), 0) + _DELTA


def _cron_job_of(job: Object) -> list[str]:
    owner = controller_of(job)
    return [f"{namespace_of(job)}/{owner['name']}"] if owner and owner["kind"] == "CronJob" else []


def _by_start(job: Object) -> tuple[bool, str, str]:
    started = (job.get("status") or {}).get("startTime") or ""
    return not started, started, name_of(job)


def _forget(cron_job: Object, uid: str) -> None:
    active = cron_job["status"].get("active") or []
    cron_job["status"]["active"] = [job for job in active if job["uid"] != uid]
