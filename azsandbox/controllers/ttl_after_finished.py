"""Deletes Jobs some time after they have ended (spec.ttlSecondsAfterFinished).

Source of the rules: Kubernetes 1.35, pkg/controller/ttlafterfinished.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.jobs import finished_condition
from azsandbox.controllers.objects import is_going, time_of, uid_of


class TTLAfterFinishedController(Controller):
    """Deletes ended Jobs when their time is over."""

    name = "ttl-after-finished-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.jobs = self.follow(informers.of("batch/v1", "jobs"))

    async def reconcile(self, key: str) -> None:
        job = self.jobs.get(key)
        if job is None or is_going(job):
            return
        ended, seconds = finished_condition(job), job["spec"].get("ttlSecondsAfterFinished")
        if ended is None or seconds is None:
            return
        due = (time_of(ended["lastTransitionTime"]) or self.now()) + dt.timedelta(seconds=seconds)
        left = (due - self.now()).total_seconds()
        if left > 0:
            self.queue.add_after(key, left)
            return
        precondition = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid_of(job)}}
        await self.writes.delete(self.jobs, job, precondition)
