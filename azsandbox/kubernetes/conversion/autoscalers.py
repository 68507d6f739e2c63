"""HorizontalPodAutoscaler in autoscaling/v1 and v2: what v1 has no field for lies in annotations.

Source: k8s.io/kubernetes, pkg/apis/autoscaling/v1/conversion.go and pkg/apis/autoscaling/annotations.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema.internal import shown

_PREFIX = "autoscaling.alpha.kubernetes.io"
METRICS, BEHAVIOR = f"{_PREFIX}/metrics", f"{_PREFIX}/behavior"
CURRENT, CONDITIONS = f"{_PREFIX}/current-metrics", f"{_PREFIX}/conditions"
_ANNOTATIONS = (METRICS, BEHAVIOR, CURRENT, CONDITIONS)
_BEHAVIOR = "autoscaling.HorizontalPodAutoscalerBehavior"  # the annotation holds the internal type, by a slip of old
_KINDS = ("object", "pods", "resource", "containerResource", "external")  # of metrics, in the order of the struct
_REFERENCE = ("kind", "name", "apiVersion")


def to_v1(obj: Object) -> Object:
    """An autoscaler of v2 in v1."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = _without(obj)
    metrics, current = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    behavior, conditions = spec.pop("behavior", None), status.pop("conditions", None)
    target = next((m for m in metrics if _is_cpu_utilization(m, "target")), None)
    if target:
        spec["targetCPUUtilizationPercentage"] = target["resource"]["target"]["averageUtilization"]
    used = next((m for m in current if _is_cpu_utilization(m, "current")), None)
    if used:
        status["currentCPUUtilizationPercentage"] = used["resource"]["current"]["averageUtilization"]
    others = [_metric_to_v1(m, "target") for m in metrics if not _is_cpu_utilization(m, "target")]
    parts = {
        METRICS: others,
        CURRENT: [_metric_to_v1(m, "current") for m in current],
        BEHAVIOR: shown(behavior, _BEHAVIOR) if behavior else None,
        CONDITIONS: conditions,
    }
    annotations |= {name: orjson.dumps(part).decode() for name, part in parts.items() if part}
    return _assembled(obj, annotations, spec, status)


def to_v2(obj: Object) -> Object:
    """An autoscaler of v1 in v2."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    written = (obj.get("metadata") or {}).get("annotations") or {}
    metrics = [_metric_to_v2(m, "target") for m in _list(written.get(METRICS))]
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        metrics.append(_cpu("target", {"type": "Utilization", "averageUtilization": percentage}))
    if metrics:
        spec["metrics"] = metrics
    behavior = _decapitalized(_parsed(written.get(BEHAVIOR)))
    if isinstance(behavior, dict) and any(behavior.values()):
        spec["behavior"] = behavior
    used = status.pop("currentCPUUtilizationPercentage", None)
    current = [_metric_to_v2(m, "current") for m in _list(written.get(CURRENT))]
    if not current and used is not None:
        current = [_cpu("current", {"averageUtilization": used})]
    if current:
        status["currentMetrics"] = current
    conditions = _list(written.get(CONDITIONS))
    if conditions:
        status["conditions"] = conditions
    return _assembled(obj, _without(obj), spec, status)


def _assembled(obj: Object, annotations: Object, spec: Object, status: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    return {**obj, "metadata": metadata, "spec": spec, **({"status": status} if "status" in obj or status else {})}


def _without(obj: Object) -> Object:
    """Annotations without those that carry what v1 has no field for."""
    found = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if key not in _ANNOTATIONS}


def _parsed(text: str | None) -> Any:
    """The JSON of an annotation; None for what is no JSON, which Go passes over as well."""
    try:
        return orjson.loads(text) if text else None
    except ValueError:
        return None


def _list(text: str | None) -> list[Object]:
    found = _parsed(text)
    return found if isinstance(found, list) and all(isinstance(item, dict) for item in found) else []


def _decapitalized(value: Any) -> Any:
    """The internal type's names as those of the API; empty fields are left out."""
    if isinstance(value, dict):
        named = {key[:1].lower() + key[1:]: _decapitalized(item) for key, item in value.items()}
        return {key: item for key, item in named.items() if item is not None}
    return [_decapitalized(item) for item in value] if isinstance(value, list) else value


def _cpu(part: str, value: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", part: value}}


def _is_cpu_utilization(metric: Object, part: str) -> bool:
    resource = metric.get("resource") or {}
    value = resource.get(part) or {}
    cpu = metric.get("type") == "Resource" and resource.get("name") == "cpu"
    return cpu and value.get("averageUtilization") is not None


def _metric_to_v1(metric: Object, part: str) -> Object:
    """A metric, `part` being "target" of a spec or "current" of a status."""
    out: Object = {"type": metric.get("type") or ""}
    for kind in _KINDS:
        source = metric.get(kind)
        if source is not None:
            out[kind] = _compact(_SOURCES[kind](source, source.get(part) or {}, part))
    return out


def _compact(value: Object) -> Object:
    return {key: item for key, item in value.items() if item is not None}


def _object_to_v1(source: Object, value: Object, part: str) -> Object:
    described, metric = source.get("describedObject") or {}, source.get("metric") or {}
    return {
        "target": {key: described[key] for key in _REFERENCE if key in described},
        "metricName": metric.get("name") or "",
        f"{part}Value": value.get("value") or "0",
        "selector": metric.get("selector"),
        "averageValue": value.get("averageValue"),
    }


def _pods_to_v1(source: Object, value: Object, part: str) -> Object:
    metric = source.get("metric") or {}
    average = value.get("averageValue") or "0"
    return {"metricName": metric.get("name") or "", f"{part}AverageValue": average, "selector": metric.get("selector")}


def _resource_to_v1(source: Object, value: Object, part: str) -> Object:
    average = value.get("averageValue")
    return {
        "name": source.get("name") or "",
        f"{part}AverageUtilization": value.get("averageUtilization"),
        f"{part}AverageValue": average if part == "target" else average or "0",
        "container": source.get("container"),
    }


def _external_to_v1(source: Object, value: Object, part: str) -> Object:
    metric = source.get("metric") or {}
    return {
        "metricName": metric.get("name") or "",
        "metricSelector": metric.get("selector"),
        f"{part}Value": value.get("value") if part == "target" else value.get("value") or "0",
        f"{part}AverageValue": value.get("averageValue"),
    }


_SOURCES = {
    "object": _object_to_v1,
    "pods": _pods_to_v1,
    "resource": _resource_to_v1,
    "containerResource": _resource_to_v1,
    "external": _external_to_v1,
}


def _metric_to_v2(metric: Object, part: str) -> Object:
    out: Object = {"type": metric.get("type") or ""}
    for kind in _KINDS:
        source = metric.get(kind)
        if isinstance(source, dict):
            out[kind] = _source_to_v2(kind, source, part)
    return out


def _source_to_v2(kind: str, source: Object, part: str) -> Object:
    value = {
        "value": source.get(f"{part}Value"),
        "averageValue": source.get(f"{part}AverageValue", source.get("averageValue")),
        "averageUtilization": source.get(f"{part}AverageUtilization"),
    }
    head = {"type": _target_type(kind, value)} if part == "target" else {}
    out: Object = {}
    if kind in ("resource", "containerResource"):
        out = {"name": source.get("name") or "", part: head | _compact(value)}
        return out | ({"container": source.get("container") or ""} if kind == "containerResource" else {})
    metric = {"name": source.get("metricName") or "", "selector": source.get("selector", source.get("metricSelector"))}
    out = {"metric": _compact(metric), part: head | _compact(value)}
    if kind == "object":
        out["describedObject"] = source.get("target") or {}
    return out


def _target_type(kind: str, value: Object) -> str:
    if kind in ("resource", "containerResource"):
        return "AverageValue" if value["averageUtilization"] is None else "Utilization"
    if kind == "object":
        return "Value" if value["averageValue"] is None else "AverageValue"
    return "AverageValue" if kind == "pods" or value["value"] is None else "Value"
