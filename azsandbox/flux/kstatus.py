"""How far an object has come, read from its own fields (kstatus: fluxcd/cli-utils, pkg/kstatus/status)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.object_refs import group_of

UNSCHEDULED = 15.0  # seconds that a pod may stay unscheduled before it counts as failed
_NOT_STARTED = "Job not started"
_NEVER = 2**31 - 1  # a progressDeadlineSeconds that means none


class Status(StrEnum):
    """What a status can be."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Result:
    """A status and what explains it."""

    status: Status
    message: str = ""


Rule = Callable[[Object], Result]


def compute(obj: Object) -> Result:
    """The status of an object whose status the API server holds: InProgress, Current, Failed or Terminating."""
    found = _generic(obj)
    if found is not None:
        return found
    group, kind = group_of(obj.get("apiVersion", "")), obj.get("kind", "")
    rule = _RULES.get(f"{group}/{kind}" if group else kind)
    if rule is not None:
        return rule(obj)
    ready = _condition(obj, "Ready")
    if ready and ready.get("status") == "True":
        return _current("Resource is Ready")
    if ready and ready.get("status") in ("False", "Unknown"):
        return _progress(ready.get("message", ""))
    return _current("Resource is current")


def is_generation_observed(obj: Object) -> bool:
    """Whether what the object's status says is about its newest generation, as far as it says."""
    observed = (obj.get("status") or {}).get("observedGeneration")
    generation = obj["metadata"].get("generation")
    return observed is None or generation is None or observed == generation


def _generic(obj: Object) -> Result | None:
    """What holds for objects of all kinds."""
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        return Result(Status.TERMINATING, "Resource scheduled for deletion")
    if not is_generation_observed(obj):
        observed = obj["status"]["observedGeneration"]
        text = f"generation is {metadata['generation']}, but latest observed generation is {observed}"
        return _progress(f"{obj['kind']} {text}")
    for condition in _conditions(obj):
        if condition.get("status") == "True":
            if condition.get("type") == "Reconciling":
                return _progress(condition.get("message", ""))
            if condition.get("type") == "Stalled":
                return Result(Status.FAILED, condition.get("message", ""))
    return None


def _progress(message: str) -> Result:
    return Result(Status.IN_PROGRESS, message)


def _current(message: str) -> Result:
    return Result(Status.CURRENT, message)


def _conditions(obj: Object) -> Objects:
    return (obj.get("status") or {}).get("conditions") or []


def _condition(obj: Object, kind: str) -> Object | None:
    return next((c for c in _conditions(obj) if c.get("type") == kind), None)


def _int(obj: Object, field: str, default: int) -> int:
    value: Any = obj
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _first_short(pairs: list[tuple[bool, str]]) -> Result | None:
    """The message of the first thing that is short."""
    return next((_progress(text) for short, text in pairs if short), None)


def _stateful_set(obj: Object) -> Result:
    strategy = obj.get("spec", {}).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return _current("StatefulSet is using the ondelete update strategy")
    wanted, there = _int(obj, "spec.replicas", 1), _int(obj, "status.replicas", 0)
    ready, updated = _int(obj, "status.readyReplicas", 0), _int(obj, "status.updatedReplicas", 0)
    now = _int(obj, "status.currentReplicas", 0)
    found = _first_short(
        [
            (wanted > there, f"Replicas: {there}/{wanted}"),
            (wanted > ready, f"Ready: {ready}/{wanted}"),
            (there > wanted, f"Pending termination: {there - wanted}"),
        ]
    )
    if found:
        return found
    partition = _int(obj, "spec.updateStrategy.rollingUpdate.partition", -1)
    if partition != -1:
        if updated < wanted - partition:
            return _progress(f"updated: {updated}/{wanted - partition}")
        return _current(f"Partition rollout complete. updated: {updated}")
    if wanted > now:
        return _progress(f"current: {now}/{wanted}")
    status = obj.get("status") or {}
    if status.get("currentRevision", "") != status.get("updateRevision", ""):
        return _progress("Waiting for updated revision to match current")
    return _current(f"All replicas scheduled as expected. Replicas: {there}")


def _deployment(obj: Object) -> Result:
    progressing = _int(obj, "spec.progressDeadlineSeconds", _NEVER) == _NEVER
    condition = _condition(obj, "Progressing") or {}
    if condition.get("reason") == "ProgressDeadlineExceeded":
        return Result(Status.FAILED, "Progress deadline exceeded")
    if condition.get("status") == "True" and condition.get("reason") == "NewReplicaSetAvailable":
        progressing = True
    available = (_condition(obj, "Available") or {}).get("status") == "True"
    wanted, there = _int(obj, "spec.replicas", 1), _int(obj, "status.replicas", 0)
    updated, ready = _int(obj, "status.updatedReplicas", 0), _int(obj, "status.readyReplicas", 0)
    usable = _int(obj, "status.availableReplicas", 0)
    found = _first_short(
        [
            (wanted > there, f"Replicas: {there}/{wanted}"),
            (wanted > updated, f"Updated: {updated}/{wanted}"),
            (there > wanted, f"Pending termination: {there - wanted}"),
            (updated > usable, f"Available: {usable}/{updated}"),
            (wanted > ready, f"Ready: {ready}/{wanted}"),
            (not progressing, "ReplicaSet not Available"),
            (not available, "Deployment not Available"),
        ]
    )
    return found or _current(f"Deployment is available. Replicas: {there}")


def _replica_set(obj: Object) -> Result:
    if (_condition(obj, "ReplicaFailure") or {}).get("status") == "True":
        return _progress("Replica Failure condition. Check Pods")
    wanted, there = _int(obj, "spec.replicas", 1), _int(obj, "status.replicas", 0)
    labelled, usable = _int(obj, "status.fullyLabeledReplicas", 0), _int(obj, "status.availableReplicas", 0)
    ready = _int(obj, "status.readyReplicas", 0)
    found = _first_short(
        [
            (wanted > labelled, f"Labelled: {labelled}/{wanted}"),
            (wanted > usable, f"Available: {usable}/{wanted}"),
            (wanted > ready, f"Ready: {ready}/{wanted}"),
            (there > wanted, f"Pending termination: {there - wanted}"),
        ]
    )
    return found or _current(f"ReplicaSet is available. Replicas: {there}")


def _daemon_set(obj: Object) -> Result:
    if obj["metadata"].get("generation") is None:
        return _progress(f"{obj['kind']} metadata.generation not found")
    if (obj.get("status") or {}).get("observedGeneration") is None:
        return _progress(f"{obj['kind']} status.observedGeneration not found")
    wanted = _int(obj, "status.desiredNumberScheduled", -1)
    if wanted == -1:
        return _progress("Missing .status.desiredNumberScheduled")
    now, updated = _int(obj, "status.currentNumberScheduled", 0), _int(obj, "status.updatedNumberScheduled", 0)
    usable, ready = _int(obj, "status.numberAvailable", 0), _int(obj, "status.numberReady", 0)
    found = _first_short(
        [
            (wanted > now, f"Current: {now}/{wanted}"),
            (wanted > updated, f"Updated: {updated}/{wanted}"),
            (wanted > usable, f"Available: {usable}/{wanted}"),
            (wanted > ready, f"Ready: {ready}/{wanted}"),
        ]
    )
    return found or _current(f"All replicas scheduled as expected. Replicas: {wanted}")


def _claim(obj: Object) -> Result:
    phase = (obj.get("status") or {}).get("phase", "unknown")
    return _current("PVC is Bound") if phase == "Bound" else _progress(f"PVC is not Bound. phase: {phase}")


def _pod(obj: Object) -> Result:
    phase = (obj.get("status") or {}).get("phase", "")
    if phase == "Succeeded":
        return _current("Pod has completed successfully")
    if phase == "Failed":
        return _current("Pod has completed, but not successfully")
    if phase == "Running":
        if (_condition(obj, "Ready") or {}).get("status") == "True":
            return _current("Pod is Ready")
        looping = [
            container["name"]
            for container in obj["status"].get("containerStatuses") or ()
            if ((container.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
        ]
        if looping:
            return Result(Status.FAILED, f"Containers in CrashLoop state: {','.join(looping)}")
        return _progress("Pod is running but is not Ready")
    if phase == "Pending":
        scheduled = _condition(obj, "PodScheduled") or {}
        if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
            created = dt.datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
            if (dt.datetime.now(dt.UTC) - created).total_seconds() < UNSCHEDULED:
                return _progress("Pod has not been scheduled")
            return Result(Status.FAILED, "Pod could not be scheduled")
        return _progress("Pod is in the Pending phase")
    return _progress("Pod phase not available")


def pod_has_failed(pod: Object) -> bool:
    """Whether a pod will not come up by itself: one that goes, or that a new node would help, may."""
    scheduled = _condition(pod, "PodScheduled") or {}
    waits = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    return "deletionTimestamp" not in pod["metadata"] and not waits and compute(pod).status == Status.FAILED


def _job(obj: Object) -> Result:
    done, failed = _int(obj, "status.succeeded", 0), _int(obj, "status.failed", 0)
    wanted = _int(obj, "spec.completions", _int(obj, "spec.parallelism", 1))
    if (_condition(obj, "Complete") or {}).get("status") == "True":
        return _current(f"Job Completed. succeeded: {done}/{wanted}")
    if (_condition(obj, "Failed") or {}).get("status") == "True":
        return Result(Status.FAILED, f"Job Failed. failed: {failed}/{wanted}")
    if not (obj.get("status") or {}).get("startTime"):
        return _progress(_NOT_STARTED)
    active = _int(obj, "status.active", 0)
    return _current(f"Job in progress. success:{done}, active: {active}, failed: {failed}")


def completed_job(obj: Object) -> Result:
    """A Job that counts as Current once it has completed (fluxcd/pkg/runtime/statusreaders)."""
    if obj.get("spec", {}).get("suspend") is True:
        return _current("Job is suspended")
    found = _job(obj)
    if found.message == _NOT_STARTED:
        return _progress(f"{_NOT_STARTED}. active: 0/{_int(obj, 'spec.parallelism', 1)}")
    if found.status == Status.CURRENT and (_condition(obj, "Complete") or {}).get("status") != "True":
        return _progress(found.message)
    return found


def completed_pod(obj: Object) -> Result:
    """A Pod that counts as Current once it has succeeded: what a Helm hook waits for (helm-controller)."""
    name, phase = obj["metadata"]["name"], (obj.get("status") or {}).get("phase", "")
    if phase == "Succeeded":
        return _current(f"pod {name} succeeded")
    return Result(Status.FAILED, f"pod {name} failed") if phase == "Failed" else _progress("Pod in progress")


def _service(obj: Object) -> Result:
    spec = obj.get("spec") or {}
    if spec.get("type", "ClusterIP") == "LoadBalancer" and not spec.get("clusterIP"):
        return _progress("ClusterIP not set. Service type: LoadBalancer")
    return _current("Service is ready")


def _definition(obj: Object) -> Result:
    for condition in _conditions(obj):
        status = condition.get("status")
        if condition.get("type") == "NamesAccepted" and status == "False":
            return Result(Status.FAILED, condition.get("message", ""))
        if condition.get("type") == "Established":
            if status == "False" and condition.get("reason") != "Installing":
                return Result(Status.FAILED, condition.get("message", ""))
            if status == "True":
                return _current("CRD is established")
    return _progress("Install in progress")


def _always(obj: Object) -> Result:
    return _current("Resource is always ready")


_RULES: dict[str, Rule] = {
    "Service": _service,
    "Pod": _pod,
    "Secret": _always,
    "PersistentVolumeClaim": _claim,
    "apps/StatefulSet": _stateful_set,
    "apps/DaemonSet": _daemon_set,
    "apps/Deployment": _deployment,
    "apps/ReplicaSet": _replica_set,
    "policy/PodDisruptionBudget": lambda obj: _current("AllowedDisruptions has been computed."),
    "batch/CronJob": _always,
    "ConfigMap": _always,
    "batch/Job": _job,
    "apiextensions.k8s.io/CustomResourceDefinition": _definition,
}
