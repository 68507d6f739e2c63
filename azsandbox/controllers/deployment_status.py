"""The status of a Deployment: its counts, and whether it is available and making progress.

Source of the rules: Kubernetes 1.35, pkg/controller/deployment, sync.go and progress.go.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from azsandbox.controllers import rollout
from azsandbox.controllers.client import Object
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.objects import condition_of, dropping_empty, name_of, time_of

if TYPE_CHECKING:
    from azsandbox.controllers.deployments import DeploymentController

_OMITTED = (
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "observedGeneration",
)


def new_condition(kind: str, status: str, reason: str, message: str, now: dt.datetime) -> Object:
    """A Deployment's condition, changed and updated now."""
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": timestamp(now),
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": message,
    }


def set_condition(status: Object, condition: Object) -> None:
    """Puts a condition into a status unless it says the same already. In place."""
    current = condition_of(status, condition["type"])
    if current and current["status"] == condition["status"]:
        if current["reason"] == condition["reason"]:
            return
        condition["lastTransitionTime"] = current["lastTransitionTime"]
    remove_condition(status, condition["type"])
    status.setdefault("conditions", []).append(condition)


def remove_condition(status: Object, kind: str) -> None:
    """Takes a condition out of a status. In place."""
    left = [c for c in status.get("conditions") or () if c["type"] != kind]
    if left:
        status["conditions"] = left
    else:
        status.pop("conditions", None)


def calculate(deployment: Object, new: Object | None, old: list[Object], now: dt.datetime) -> Object:
    """Counts and availability."""
    sets = [*old, *([new] if new else [])]
    before = deployment.get("status") or {}
    available = rollout.status_total(sets, "availableReplicas")
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": rollout.status_total(sets, "replicas"),
        "updatedReplicas": rollout.status_total([new] if new else [], "replicas"),
        "readyReplicas": rollout.status_total(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(rollout.spec_total(sets) - available, 0),
    }
    status = dropping_empty(status, _OMITTED)
    if "collisionCount" in before:
        status["collisionCount"] = before["collisionCount"]
    terminating = rollout.terminating_total(sets)
    if terminating is not None:
        status["terminatingReplicas"] = terminating
    if before.get("conditions"):
        status["conditions"] = list(before["conditions"])
    if available >= rollout.replicas_of(deployment) - rollout.max_unavailable(deployment):
        said = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        said = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    set_condition(status, new_condition("Available", *said, now))
    return status


def timed_out(deployment: Object, status: Object, now: dt.datetime) -> bool:
    """Whether there was no progress for longer than the deadline."""
    condition = condition_of(status, "Progressing")
    if not rollout.has_progress_deadline(deployment) or condition is None:
        return False
    if condition["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return bool(condition["reason"] == "ProgressDeadlineExceeded")
    updated = time_of(condition.get("lastUpdateTime")) or now
    return updated + dt.timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"]) < now


def with_progress(deployment: Object, status: Object, new: Object | None, old: list[Object], now: dt.datetime) -> None:
    """Adds what a rollout says of its progress and of replicas that cannot be made. In place."""
    if not rollout.has_progress_deadline(deployment):
        remove_condition(status, "Progressing")
    current = condition_of(deployment.get("status") or {}, "Progressing")
    settled = (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and current is not None
        and current["reason"] == "NewReplicaSetAvailable"
    )
    subject = f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'
    if rollout.has_progress_deadline(deployment) and not settled:
        if rollout.is_complete(deployment, status):
            message = f"{subject} has successfully progressed."
            set_condition(status, new_condition("Progressing", "True", "NewReplicaSetAvailable", message, now))
        elif rollout.is_progressing(deployment, status):
            condition = new_condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
            if current is not None:
                if current["status"] == "True":
                    condition["lastTransitionTime"] = current["lastTransitionTime"]
                remove_condition(status, "Progressing")
            set_condition(status, condition)
        elif timed_out(deployment, status, now):
            message = f"{subject} has timed out progressing."
            set_condition(status, new_condition("Progressing", "False", "ProgressDeadlineExceeded", message, now))

    failures = [
        failure
        for replica_set in [*([new] if new else []), *old]
        if (failure := condition_of(replica_set.get("status") or {}, "ReplicaFailure"))
    ]
    if failures:
        set_condition(status, {**failures[0], "lastUpdateTime": failures[0]["lastTransitionTime"]})
    else:
        remove_condition(status, "ReplicaFailure")


class DeploymentStatuses:
    """Writes the statuses of one controller's Deployments."""

    def __init__(self, controller: DeploymentController) -> None:
        self.controller = controller

    async def sync(self, deployment: Object, new: Object | None, old: list[Object]) -> None:
        """Counts only: while paused, scaling or going."""
        await self._write(deployment, calculate(deployment, new, old, self.controller.now()))

    async def sync_rollout(self, deployment: Object, new: Object | None, old: list[Object]) -> None:
        """Counts and progress."""
        now = self.controller.now()
        status = calculate(deployment, new, old, now)
        with_progress(deployment, status, new, old, now)
        await self._write(deployment, status)
        self.controller.check_deadline(deployment, status)

    async def _write(self, deployment: Object, status: Object) -> None:
        if (deployment.get("status") or {}) != status:
            deployment["status"] = status
            await self.controller.writes.update(self.controller.deployments, deployment, "status")
