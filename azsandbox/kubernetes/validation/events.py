"""Validation of events, in the core group and in events.k8s.io. Source: pkg/apis/core/validation/events.go."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.errors import Errors, invalid, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

_NEW = "events.k8s.io"
_LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}  # characters
# field → its name in events.k8s.io; errors have the names of the core group
_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}


def _get(event: Object, field: str, new: bool) -> Any:
    return event.get(_NAMES.get(field, field) if new else field)


def _sensible(event: Object, new: bool) -> Errors:
    """What holds for every event."""
    found: Errors = []
    namespace = event["metadata"].get("namespace") or ""
    about = (_get(event, "involvedObject", new) or {}).get("namespace") or ""
    timed = bool(event.get("eventTime"))
    if timed:
        agrees = bool(about) or namespace in ("default", "kube-system")
    else:
        agrees = about == namespace if about else namespace in ("", "default")
    if not agrees:
        found.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
    if timed:
        field = "reportingController" if new else "reportingComponent"
        reporter = event.get(field) or ""
        if not reporter:
            found.append(required(field))
        found += [invalid(field, reporter, text) for text in formats.qualified_name(reporter)]
        for name, limit in _LIMITS.items():
            value = _get(event, name, new) or ""
            if not value and name != "message":
                found.append(required(name))
            if len(value) > limit:
                found.append(invalid(name, "", f"can have at most {limit} characters"))
    return found


def _series(event: Object) -> Errors:
    series = event.get("series")
    if series is None:
        return []
    found: Errors = []
    if (series.get("count") or 0) < 2:
        found.append(invalid("series.count", "", "should be at least 2"))
    return found if series.get("lastObservedTime") else [*found, required("series.lastObservedTime")]


@on_create("", "Event")
def event(obj: Object) -> Errors:
    return _sensible(obj, new=False)


@on_update("", "Event")
def changed_event(new: Object, old: Object) -> Errors:
    return _sensible(new, new=False)


@on_create(_NEW, "Event")
def new_event(obj: Object) -> Errors:
    found = _sensible(obj, new=True) + _series(obj)
    if not obj.get("eventTime"):
        found.append(required("eventTime"))
    if obj.get("type") not in ("Normal", "Warning"):
        found.append(invalid("type", "", f"has invalid value: {obj.get('type') or ''}"))
    for name in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if _get(obj, name, new=True):
            found.append(invalid(name, "", "needs to be unset"))
    return found


@on_update(_NEW, "Event")
def changed_new_event(new: Object, old: Object) -> Errors:
    found = _sensible(new, new=True)
    return found + _series(new) if new.get("series") != old.get("series") else found
