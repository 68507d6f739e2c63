"""The few kinds that one object is served as in two forms: HorizontalPodAutoscaler v1 and v2, Event of two groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from azsandbox.kubernetes.request import GroupVersionKind, Object

# autoscaling/v1 keeps what it has no field for in these annotations (pkg/apis/autoscaling/annotations.go)
_HPA_ANNOTATIONS = {
    "metrics": "autoscaling.alpha.kubernetes.io/metrics",
    "behavior": "autoscaling.alpha.kubernetes.io/behavior",
    "currentMetrics": "autoscaling.alpha.kubernetes.io/current-metrics",
    "conditions": "autoscaling.alpha.kubernetes.io/conditions",
}


def convert(obj: Object, target: GroupVersionKind) -> Object:
    """`obj` as another version of its kind; a copy at the top, shared below."""
    change = _CONVERSIONS.get((str(obj["apiVersion"]), target.api_version, target.kind))
    converted = {**(change(obj) if change else obj), "apiVersion": target.api_version}
    converted["metadata"] = {**converted["metadata"]}
    return converted


def _compact(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}


def _is_cpu_utilization(metric: dict[str, Any], field: str) -> bool:
    resource = metric.get("resource") or {}
    value = resource.get(field) or {}
    return (
        metric.get("type") == "Resource"
        and resource.get("name") == "cpu"
        and value.get("averageUtilization") is not None
    )


def _hpa_to_v1(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metadata = dict(obj["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    target = next((m for m in spec.get("metrics") or () if _is_cpu_utilization(m, "target")), None)
    others = [m for m in spec.pop("metrics", None) or () if m is not target]
    if target:
        spec["targetCPUUtilizationPercentage"] = target["resource"]["target"]["averageUtilization"]
    current = status.pop("currentMetrics", None) or []
    used = next((m for m in current if _is_cpu_utilization(m, "current")), None)
    if used:
        status["currentCPUUtilizationPercentage"] = used["resource"]["current"]["averageUtilization"]
    parts = {
        "metrics": others,
        "behavior": spec.pop("behavior", None),
        "currentMetrics": [m for m in current if m is not used],
        "conditions": status.pop("conditions", None),
    }
    for name, part in parts.items():
        if part:
            annotations[_HPA_ANNOTATIONS[name]] = orjson.dumps(part).decode()
    if annotations:
        metadata["annotations"] = annotations
    return {**obj, "metadata": metadata, "spec": spec, **({"status": status} if "status" in obj else {})}


def _hpa_to_v2(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metadata = dict(obj["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    parts: dict[str, Any] = {}
    for name, annotation in _HPA_ANNOTATIONS.items():
        text = annotations.pop(annotation, None)
        if text:
            parts[name] = orjson.loads(text)
    metrics = parts.get("metrics") or []
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        spec["metrics"] = metrics
    if parts.get("behavior"):
        spec["behavior"] = parts["behavior"]
    current = parts.get("currentMetrics") or []
    used = status.pop("currentCPUUtilizationPercentage", None)
    if used is not None:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}}, *current]
    if current:
        status["currentMetrics"] = current
    if parts.get("conditions"):
        status["conditions"] = parts["conditions"]
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return {**obj, "metadata": metadata, "spec": spec, **({"status": status} if "status" in obj or status else {})}


# core/v1 name → events.k8s.io/v1 name
_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENT_FIELDS_BACK = {new: old for old, new in _EVENT_FIELDS.items()}


def _event_to_new(event: Object) -> Object:
    """An event of the core group in events.k8s.io, which leaves out who reports where that is empty."""
    found = {_EVENT_FIELDS.get(key, key): value for key, value in event.items()}
    return {k: v for k, v in found.items() if v != "" or k not in ("reportingController", "reportingInstance")}


def _renamed(names: dict[str, str]) -> Callable[[Object], Object]:
    def change(obj: Object) -> Object:
        return {names.get(key, key): value for key, value in obj.items()}

    return change


_CONVERSIONS: dict[tuple[str, str, str], Callable[[Object], Object]] = {
    ("autoscaling/v2", "autoscaling/v1", "HorizontalPodAutoscaler"): _hpa_to_v1,
    ("autoscaling/v1", "autoscaling/v2", "HorizontalPodAutoscaler"): _hpa_to_v2,
    ("v1", "events.k8s.io/v1", "Event"): _event_to_new,
    ("events.k8s.io/v1", "v1", "Event"): _renamed(_EVENT_FIELDS_BACK),
}
