"""Defaults of apps, batch and autoscaling."""

from __future__ import annotations

import copy

from azsandbox.kubernetes import strategies
from azsandbox.kubernetes.defaults import pods
from azsandbox.kubernetes.defaults.core import spec_of
from azsandbox.kubernetes.defaults.pods import put, put_absent
from azsandbox.kubernetes.defaults.registry import defaults
from azsandbox.kubernetes.request import Object

_INT32_MAX = 2**31 - 1
_METRICS = "autoscaling.alpha.kubernetes.io/metrics"  # metrics of an autoscaler in its first version
_CPU_UTILIZATION = 80  # percent, that an autoscaler without metrics aims at
_SCALE_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Object = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


def _template(spec: Object) -> None:
    put_absent(spec, "template", {})
    pods.template(spec["template"])


def _part(obj: Object, key: str) -> Object:
    if obj.get(key) is None:
        obj[key] = {}
    found: Object = obj[key]
    return found


@defaults("apps", "Deployment")
def deployment(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "replicas", 1)
    strategy = _part(spec, "strategy")
    put(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = _part(strategy, "rollingUpdate")
        put_absent(rolling, "maxUnavailable", "25%")
        put_absent(rolling, "maxSurge", "25%")
    put_absent(spec, "revisionHistoryLimit", 10)
    put_absent(spec, "progressDeadlineSeconds", 600)
    _template(spec)


@defaults("apps", "ReplicaSet")
def replica_set(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "replicas", 1)
    _template(spec)


@defaults("apps", "DaemonSet")
def daemon_set(obj: Object) -> None:
    spec = spec_of(obj)
    if strategies.template_generation(obj) == 0:
        strategies.template_annotation(obj, 0)  # whoever writes it owns the annotation
    strategy = _part(spec, "updateStrategy")
    put(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = _part(strategy, "rollingUpdate")
        put_absent(rolling, "maxUnavailable", 1)
        put_absent(rolling, "maxSurge", 0)
    put_absent(spec, "revisionHistoryLimit", 10)
    _template(spec)


@defaults("apps", "StatefulSet")
def stateful_set(obj: Object) -> None:
    spec = spec_of(obj)
    put(spec, "podManagementPolicy", "OrderedReady")
    strategy = _part(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        put_absent(strategy, "rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        put_absent(strategy["rollingUpdate"], "partition", 0)
    retention = _part(spec, "persistentVolumeClaimRetentionPolicy")
    put(retention, "whenDeleted", "Retain")
    put(retention, "whenScaled", "Retain")
    put_absent(spec, "replicas", 1)
    put_absent(spec, "revisionHistoryLimit", 10)
    _template(spec)
    for claim in spec.get("volumeClaimTemplates") or []:
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("apiVersion", "v1")
        claim["status"] = claim.get("status") or {}
        put(claim["status"], "phase", "Pending")
        pods.claim_spec(spec_of(claim))


@defaults("batch", "Job")
def job(obj: Object) -> None:
    spec = spec_of(obj)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    meta = obj.setdefault("metadata", {})
    if labels and not meta.get("labels"):
        meta["labels"] = labels  # the same labels, so what the selector adds to the template is on the Job too
    job_spec(spec)


def job_spec(spec: Object) -> None:
    """The defaults of a Job's spec."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    put_absent(spec, "parallelism", 1)
    put_absent(spec, "backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else _INT32_MAX)
    put_absent(spec, "completionMode", "NonIndexed")
    put_absent(spec, "suspend", False)
    put_absent(spec, "podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    put_absent(spec, "manualSelector", False)
    _failure_policy(spec)
    _template(spec)


def _failure_policy(spec: Object) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for condition in rule.get("onPodConditions") or []:
            put(condition, "status", "True")


@defaults("batch", "CronJob")
def cron_job(obj: Object) -> None:
    spec = spec_of(obj)
    put(spec, "concurrencyPolicy", "Allow")
    put_absent(spec, "suspend", False)
    put_absent(spec, "successfulJobsHistoryLimit", 3)
    put_absent(spec, "failedJobsHistoryLimit", 1)
    inner = _part(_part(spec, "jobTemplate"), "spec")
    _failure_policy(inner)
    _template(inner)


@defaults("autoscaling", "HorizontalPodAutoscaler", version="v1")
def autoscaler_v1(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "minReplicas", 1)
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if annotations.get(_METRICS, "null") in ("null", "[]"):
        put_absent(spec, "targetCPUUtilizationPercentage", _CPU_UTILIZATION)


@defaults("autoscaling", "HorizontalPodAutoscaler", version="v2")
def autoscaler_v2(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_UTILIZATION}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        for key, rules in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
            given = {name: value for name, value in (behavior.get(key) or {}).items() if value is not None}
            behavior[key] = copy.deepcopy(rules) | given
