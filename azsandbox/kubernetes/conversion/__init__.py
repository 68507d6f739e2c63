"""The few kinds that one object is served as in two forms: HorizontalPodAutoscaler v1 and v2, Event of two groups."""

from __future__ import annotations

from collections.abc import Callable

from azsandbox.kubernetes.conversion import autoscalers
from azsandbox.kubernetes.request import GroupVersionKind, Object


def differs(source: str, target: str, kind: str) -> bool:
    """Whether a kind has other fields in one API version than in another."""
    return (source, target, kind) in _CONVERSIONS


def convert(obj: Object, target: GroupVersionKind) -> Object:
    """`obj` as another version of its kind; a copy at the top, shared below."""
    change = _CONVERSIONS.get((str(obj["apiVersion"]), target.api_version, target.kind))
    converted = {**(change(obj) if change else obj), "apiVersion": target.api_version}
    converted["metadata"] = {**converted["metadata"]}
    return converted


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
    ("autoscaling/v2", "autoscaling/v1", "HorizontalPodAutoscaler"): autoscalers.to_v1,
    ("autoscaling/v1", "autoscaling/v2", "HorizontalPodAutoscaler"): autoscalers.to_v2,
    ("v1", "events.k8s.io/v1", "Event"): _event_to_new,
    ("events.k8s.io/v1", "v1", "Event"): _renamed(_EVENT_FIELDS_BACK),
}
