"""Validation of HorizontalPodAutoscalers, in both versions, and of PodDisruptionBudgets."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import (
    NEGATIVE,
    NOT_POSITIVE,
    formatted,
    label_selector,
    named,
    nonnegative,
    supported,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.resource_names import container_resource
from azsandbox.kubernetes.validation.workloads import at_most_100_percent, int_or_percent

_SOURCES = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_EMPTY_SOURCE = "must populate information for the given metric source"
_LOWEST = 1
_SELECT = ("Disabled", "Max", "Min")
_WINDOW_LIMIT, _PERIOD_LIMIT = 3600, 1800  # seconds


@on_create("autoscaling", "HorizontalPodAutoscaler")
def autoscaler(obj: Object) -> Errors:
    return _autoscaler(obj, None)


def _autoscaler(obj: Object, old: Object | None) -> Errors:
    """An autoscaler, new or in the place of `old`, whose target's version is not judged again while it stays."""
    spec = obj.get("spec") or {}
    found: Errors = []
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    before = (old or {}).get("spec") or {}
    if low is not None and low < (0 if before.get("minReplicas") == 0 else _LOWEST):
        found.append(invalid("spec.minReplicas", low, f"must be greater than or equal to {_LOWEST}"))
    if high < 1:
        found.append(invalid("spec.maxReplicas", high, "must be greater than 0"))
    if low is not None and high < low:
        found.append(invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    target, earlier = spec.get("scaleTargetRef") or {}, before.get("scaleTargetRef") or {}
    known = old is not None and all(target.get(key) == earlier.get(key) for key in ("apiVersion", "kind"))
    controller = target.get("kind") == "ReplicationController"
    found += _reference(target, "spec.scaleTargetRef", known or _groups(target, controller))
    metrics = _metrics_of(spec)
    for index, metric in enumerate(metrics):
        found += _metric(metric, f"spec.metrics[{index}]")
    if low == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        text = "must specify at least one Object or External metric to support scaling to zero replicas"
        found.append(forbidden("spec.metrics", text))
    for key in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(key)
        if rules is not None:
            found += _rules(rules, f"spec.behavior.{key}")
    return found


def _metrics_of(spec: Object) -> list[Object]:
    """The metrics, also where the first version says them as a percentage."""
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is None:
        return spec.get("metrics") or []
    target = {"type": "Utilization", "averageUtilization": percent}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


@on_update("autoscaling", "HorizontalPodAutoscaler")
def autoscaler_update(new: Object, old: Object) -> Errors:
    return _autoscaler(new, old)


@on_update("autoscaling", "HorizontalPodAutoscaler", subresource="status")
def autoscaler_status(new: Object, old: Object) -> Errors:
    status = new.get("status") or {}
    found = nonnegative(status.get("currentReplicas"), "status.currentReplicas")
    return found + nonnegative(status.get("desiredReplicas"), "status.desiredReplicas")


def _groups(reference: Object, core_too: bool) -> bool | str:
    """Whether a reference's apiVersion names a group, or may do without; else what is wrong with it."""
    version = reference.get("apiVersion") or ""
    if version.count("/") > 1:
        return f"unexpected GroupVersion string: {version}"
    return "/" in version or core_too or "apiVersion must specify API group"


def _reference(reference: Object, path: str, version_is: bool | str) -> Errors:
    found: Errors = []
    for key in ("kind", "name"):
        found += named(reference.get(key), f"{path}.{key}", formats.path_segment)
    if isinstance(version_is, str):
        found.append(invalid(f"{path}.apiVersion", reference.get("apiVersion") or "", version_is))
    return found


def _metric(metric: Object, path: str) -> Errors:
    kind = metric.get("type") or ""
    kinds = tuple(sorted(_SOURCES))
    found: Errors = []
    if not kind:
        found.append(required(f"{path}.type", "must specify a metric source type"))
    if kind not in kinds:
        found.append(not_supported(f"{path}.type", kind, kinds))
    present = [key for key in _SOURCES.values() if metric.get(key) is not None]
    if present:
        found += _source(present[0], metric[present[0]], f"{path}.{present[0]}")
    expected = _SOURCES.get(kind)
    if expected is None:
        found.append(not_supported(f"{path}.type", kind, kinds))
    elif metric.get(expected) is None:
        found.append(required(f"{path}.{expected}", _EMPTY_SOURCE))
    if len(present) != 1:
        text = "must populate the given metric source only"
        found += [forbidden(f"{path}.{key}", text) for key in present if key != expected]
    return found


def _source(key: str, source: Object, path: str) -> Errors:
    found: Errors = []
    target = source.get("target") or {}
    if key == "object":
        described = source.get("describedObject") or {}
        found += _reference(described, f"{path}.describedObject", _groups(described, True))
    if key in ("object", "external", "pods"):
        name = (source.get("metric") or {}).get("name")
        found += named(name, f"{path}.metric.name", formats.path_segment, "must specify a metric name")
    elif not source.get("name"):
        found.append(required(f"{path}.name", "must specify a resource name"))
    elif key == "containerResource":
        found += container_resource(source["name"], f"{path}.name")
    if key == "containerResource":
        found += named(source.get("container"), f"{path}.container", formats.dns_label, "must specify a container")
    found += _target(target, f"{path}.target")
    average, value, percent = (target.get(name) for name in ("averageValue", "value", "averageUtilization"))
    where = f"{path}.target"
    if key == "object" and value is None and average is None:
        found.append(required(f"{where}.averageValue", "must set either a target value or averageValue"))
    elif key == "external":
        if value is None and average is None:
            text = "must set either a target value for metric or a per-pod target"
            found.append(required(f"{where}.averageValue", text))
        if value is not None and average is not None:
            text = "may not set both a target value for metric and a per-pod target"
            found.append(forbidden(f"{where}.value", text))
    elif key == "pods" and average is None:
        found.append(required(f"{where}.averageValue", "must specify a positive target averageValue"))
    elif key in ("resource", "containerResource"):
        if percent is None and average is None:
            text = "must set either a target raw value or a target utilization"
            found.append(required(f"{where}.averageUtilization", text))
        if percent is not None and average is not None:
            text = "may not set both a target raw value and a target utilization"
            found.append(forbidden(f"{where}.averageValue", text))
    return found


def _target(target: Object, path: str) -> Errors:
    found: Errors = []
    kind = target.get("type") or ""
    if not kind:
        found.append(required(f"{path}.type", "must specify a metric target type"))
    if kind not in ("Utilization", "Value", "AverageValue"):
        found.append(invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for key in ("value", "averageValue"):
        if target.get(key) is not None and Quantity.parse(target[key]) <= Quantity.ZERO:
            found.append(invalid(f"{path}.{key}", str(Quantity.parse(target[key])), "must be positive"))
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        found.append(invalid(f"{path}.averageUtilization", percent, "must be greater than 0"))
    return found


def _rules(rules: Object, path: str) -> Errors:
    found: Errors = []
    window, where = rules.get("stabilizationWindowSeconds"), f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        found.append(invalid(where, window, "must be greater than or equal to zero"))
    if window is not None and window > _WINDOW_LIMIT:
        found.append(invalid(where, window, f"must be less than or equal to {_WINDOW_LIMIT}"))
    if rules.get("selectPolicy") is not None:
        found += supported(rules["selectPolicy"], f"{path}.selectPolicy", _SELECT)
    if not rules.get("policies"):
        found.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.get("policies") or []):
        here, value, period = f"{path}.policies[{index}]", policy.get("value") or 0, policy.get("periodSeconds") or 0
        found += supported(policy.get("type"), f"{here}.type", ("Percent", "Pods"))
        if value <= 0:
            found.append(invalid(f"{here}.value", value, NOT_POSITIVE))
        if period <= 0:
            found.append(invalid(f"{here}.periodSeconds", period, NOT_POSITIVE))
        if period > _PERIOD_LIMIT:
            found.append(invalid(f"{here}.periodSeconds", period, f"must be less than or equal to {_PERIOD_LIMIT}"))
    tolerance = rules.get("tolerance")
    if tolerance is not None and Quantity.parse(tolerance) < Quantity.ZERO:
        found.append(invalid(f"{path}.tolerance", str(Quantity.parse(tolerance)), NEGATIVE))
    return found


@on_create("policy", "PodDisruptionBudget", validates_metadata=True)
def disruption_budget(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found: Errors = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown: Any = internal.shown(spec, "policy.PodDisruptionBudgetSpec")
        found.append(invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for key in ("minAvailable", "maxUnavailable"):
        if spec.get(key) is not None:
            found += int_or_percent(spec[key], f"spec.{key}") + at_most_100_percent(spec[key], f"spec.{key}")
    found += label_selector(spec.get("selector"), "spec.selector")
    if spec.get("unhealthyPodEvictionPolicy") is not None:
        values = ("AlwaysAllow", "IfHealthyBudget")
        found += supported(spec["unhealthyPodEvictionPolicy"], "spec.unhealthyPodEvictionPolicy", values)
    return found


@on_update("policy", "PodDisruptionBudget")
def disruption_budget_update(new: Object, old: Object) -> Errors:
    return disruption_budget(new)


@on_update("policy", "PodDisruptionBudget", subresource="status")
def disruption_budget_status(new: Object, old: Object) -> Errors:
    status = new.get("status") or {}
    found = conditions(status.get("conditions"), "status.conditions")
    for key in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        found += nonnegative(status.get(key), f"status.{key}")
    return found


def conditions(items: list[Object] | None, path: str) -> Errors:
    """Conditions in the common form, metav1.Condition."""
    found: Errors = []
    for index, item in enumerate(items or []):
        here = f"{path}[{index}]"
        found += formatted(item.get("type") or "", f"{here}.type", formats.qualified_name)
        found += supported(item.get("status"), f"{here}.status", ("False", "True", "Unknown"))
        if not item.get("lastTransitionTime"):
            found.append(required(f"{here}.lastTransitionTime"))
        if not item.get("reason"):
            found.append(required(f"{here}.reason"))
        if len(item.get("message") or "") > 32 * 1024:
            found.append(too_long(f"{here}.message", 32 * 1024))
    return found
