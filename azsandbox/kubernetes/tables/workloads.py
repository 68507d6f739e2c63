"""Rows of what runs pods: apps, batch, autoscaling."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.tables.cells import (
    NONE,
    UNKNOWN,
    UNSET,
    Age,
    Row,
    age,
    boolean,
    containers,
    duration,
    labels,
    moment,
    name,
    selector,
    since,
    spec,
    status,
)


def _template(obj: Object) -> Object:
    found: Object = (spec(obj).get("template") or {}).get("spec") or {}
    return found


def _counts(obj: Object) -> list[int]:
    found = status(obj)
    return [spec(obj).get("replicas", 0), found.get("replicas", 0), found.get("readyReplicas", 0)]


def _replica_set(obj: Object) -> list[Any]:
    return [name(obj), *_counts(obj), age(obj), *containers(_template(obj)), selector(spec(obj).get("selector"))]


def _replication_controller(obj: Object) -> list[Any]:
    return [name(obj), *_counts(obj), age(obj), *containers(_template(obj)), labels(spec(obj).get("selector"))]


def _deployment(obj: Object) -> list[Any]:
    found = status(obj)
    return [
        name(obj),
        f"{found.get('readyReplicas', 0)}/{spec(obj).get('replicas', 0)}",
        found.get("updatedReplicas", 0),
        found.get("availableReplicas", 0),
        age(obj),
        *containers(_template(obj)),
        selector(spec(obj).get("selector")),
    ]


def _stateful_set(obj: Object) -> list[Any]:
    ready = f"{status(obj).get('readyReplicas', 0)}/{spec(obj).get('replicas', 0)}"
    return [name(obj), ready, age(obj), *containers(_template(obj))]


def _daemon_set(obj: Object) -> list[Any]:
    found = status(obj)
    fields = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        name(obj),
        *(found.get(field, 0) for field in fields),
        labels(_template(obj).get("nodeSelector")),
        age(obj),
        *containers(_template(obj)),
        selector(spec(obj).get("selector")),
    ]


def _controller_revision(obj: Object) -> list[Any]:
    owner = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    text = NONE
    if owner:
        group = owner["apiVersion"].rpartition("/")[0]
        text = f"{owner['kind']}.{group}/{owner['name']}" if group else f"{owner['kind']}/{owner['name']}"
        kind, _, rest = text.partition("/")
        text = f"{kind.lower()}/{rest}"
    return [name(obj), text, obj.get("revision", 0), age(obj)]


# the first of these conditions that holds is the job's status, a deletion in between
_JOB_DONE = (("Complete", "Complete"), ("Failed", "Failed"))
_JOB_STATES = (
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _job_state(obj: Object) -> str:
    true = {c["type"] for c in status(obj).get("conditions") or () if c["status"] == "True"}
    for kind, word in _JOB_DONE:
        if kind in true:
            return word
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((word for kind, word in _JOB_STATES if kind in true), "Running")


def _job(obj: Object) -> list[Any]:
    found = status(obj)
    succeeded, completions = found.get("succeeded", 0), spec(obj).get("completions")
    parallelism = spec(obj).get("parallelism", 0)
    if completions is not None:
        done = f"{succeeded}/{completions}"
    else:
        done = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    began, ended = moment(found.get("startTime")), moment(found.get("completionTime"))
    lasted: Age | str = ""
    if began:
        lasted = duration((ended - began).total_seconds()) if ended else Age(began.timestamp())
    return [
        name(obj),
        _job_state(obj),
        done,
        lasted,
        age(obj),
        *containers(_template(obj)),
        selector(spec(obj).get("selector")),
    ]


def _cron_job(obj: Object) -> list[Any]:
    last = status(obj).get("lastScheduleTime")
    job = (spec(obj).get("jobTemplate") or {}).get("spec") or {}
    return [
        name(obj),
        spec(obj).get("schedule", ""),
        spec(obj).get("timeZone", NONE),
        boolean(spec(obj).get("suspend")),
        len(status(obj).get("active") or ()),
        since(last) if last else NONE,
        age(obj),
        *containers((job.get("template") or {}).get("spec") or {}),
        selector(job.get("selector")),
    ]


def _resource_metric(metric: Object, current: Object) -> str:
    target, found = metric["target"], current.get("current") or {}
    if target.get("averageValue") is not None:
        return f"{metric['name']}: {found.get('averageValue', UNKNOWN)}/{target['averageValue']}"
    used = found.get("averageUtilization")
    wanted = target.get("averageUtilization")
    left = UNKNOWN if used is None else f"{used}%"
    return f"{metric['name']}: {left}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _other_metric(metric: Object, current: Object) -> str:
    target, found = metric["target"], current.get("current") or {}
    if target.get("averageValue") is not None:
        average = f"{found.get('averageValue', UNKNOWN)}/{target['averageValue']}"
        return average if metric.get("of_pods") else f"{average} (avg)"
    return f"{found.get('value', UNKNOWN)}/{target.get('value')}"


_METRICS = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _metrics(obj: Object) -> str:
    found: list[str] = []
    current = status(obj).get("currentMetrics") or []
    metrics = spec(obj).get("metrics") or []
    for index, metric in enumerate(metrics):
        key = _METRICS.get(metric["type"])
        if key is None:
            found.append("<unknown type>")
            continue
        now = (current[index].get(key) or {}) if index < len(current) else {}
        value = {**metric[key], "of_pods": key == "pods"}
        found.append(_resource_metric(value, now) if "esource" in key else _other_metric(value, now))
    if not found:
        return NONE
    text = ", ".join(found[:2])
    return f"{text} + {len(found) - 2} more..." if len(found) > 2 else text


def _autoscaler(obj: Object) -> list[Any]:
    if obj["apiVersion"] == "autoscaling/v1":
        from azsandbox.kubernetes.conversion import convert
        from azsandbox.kubernetes.request import GroupVersionKind

        obj = convert(obj, GroupVersionKind("autoscaling", "v2", "HorizontalPodAutoscaler"))
    target = spec(obj)["scaleTargetRef"]
    least = spec(obj).get("minReplicas")
    return [
        name(obj),
        f"{target['kind']}/{target['name']}",
        _metrics(obj),
        UNSET if least is None else str(least),
        spec(obj).get("maxReplicas", 0),
        status(obj).get("currentReplicas", 0),
        age(obj),
    ]


ROWS: dict[str, Row] = {
    "replicasets.apps": _replica_set,
    "replicationcontrollers": _replication_controller,
    "deployments.apps": _deployment,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "controllerrevisions.apps": _controller_revision,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "horizontalpodautoscalers.autoscaling": _autoscaler,
}
