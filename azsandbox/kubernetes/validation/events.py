"""Validation of events, in the core group and in events.k8s.io, whose rules are stricter.

Both are judged as the core group's objects, whose names the errors have. Source: pkg/apis/core/validation/events.go.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.conversion import convert
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.common import formatted, unchanged
from azsandbox.kubernetes.validation.errors import Errors, invalid, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

_NEW = "events.k8s.io"
_CORE = GroupVersionKind("", "v1", "Event")
_LIMIT, _NOTE_LIMIT = 128, 1024  # bytes of a reason and the like, and of a message
# field → the internal type that an error shows of it
_IMMUTABLE = {
    "involvedObject": "core.ObjectReference",
    "reason": "",
    "message": "",
    "source": "core.EventSource",
    "firstTimestamp": "",
    "lastTimestamp": "",
    "count": "",
    "type": "",
    "eventTime": "",
    "action": "",
    "related": "core.ObjectReference",
    "reportingComponent": "",
    "reportingInstance": "",
}
_TEXTS = ("reason", "message", "type", "action", "reportingComponent", "reportingInstance")


def _sensible(event: Object, reporter: str) -> Errors:
    """What holds for every event; `reporter` is the name of the field that says who reports."""
    found: Errors = []
    namespace = event["metadata"].get("namespace") or ""
    about = (event.get("involvedObject") or {}).get("namespace") or ""
    timed = bool(event.get("eventTime"))
    if timed:
        agrees = bool(about) or namespace in ("default", "kube-system")
    else:
        agrees = about == namespace if about else namespace in ("", "default")
    if not agrees:
        found.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
    if timed:
        component = event.get("reportingComponent") or ""
        if not component:
            found.append(required(reporter))
        found += formatted(component, reporter, formats.qualified_name)
        for name in ("reportingInstance", "action", "reason"):
            found += [] if event.get(name) else [required(name)]
            found += _limited(event, name, _LIMIT)
        found += _limited(event, "message", _NOTE_LIMIT)
    return found + formatted(namespace, "namespace", formats.dns_subdomain)


def _limited(event: Object, name: str, limit: int) -> Errors:
    too_long = len((event.get(name) or "").encode()) > limit
    return [invalid(name, "", f"can have at most {limit} characters")] if too_long else []


def _finalizers(event: Object) -> Errors:
    return metadata.standard_finalizers(event["metadata"].get("finalizers"), "metadata.finalizers")


def _series(event: Object) -> Errors:
    series = event.get("series")
    if series is None:
        return []
    found: Errors = []
    if (series.get("count") or 0) < 2:
        found.append(invalid("series.count", "", "should be at least 2"))
    return found if series.get("lastObservedTime") else [*found, required("series.lastObservedTime")]


@on_create("", "Event", validates_metadata=True)
def event(obj: Object) -> Errors:
    return _sensible(obj, "reportingComponent")


@on_update("", "Event", validates_metadata=True)
def changed_event(new: Object, old: Object) -> Errors:
    return _sensible(new, "reportingComponent")


@on_create(_NEW, "Event", validates_metadata=True)
def new_event(obj: Object) -> Errors:
    core = convert(obj, _CORE)
    found = _sensible(core, "reportingController")
    found += metadata.on_create(obj["metadata"], True, formats.dns_subdomain) + _finalizers(obj) + _series(core)
    if not core.get("eventTime"):
        found.append(required("eventTime"))
    if core.get("type") not in ("Normal", "Warning"):
        found.append(invalid("type", "", f"has invalid value: {core.get('type') or ''}"))
    for name in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if core.get(name):
            found.append(invalid(name, "", "needs to be unset"))
    return found


@on_update(_NEW, "Event", validates_metadata=True)
def changed_new_event(new: Object, old: Object) -> Errors:
    now, before = convert(new, _CORE), convert(old, _CORE)
    found = _sensible(now, "reportingController") + metadata.on_update(new["metadata"], old["metadata"])
    found += _finalizers(new)
    if now.get("series") != before.get("series"):
        found += _series(now)
    for name, shape in _IMMUTABLE.items():
        path = {"reportingComponent": "reportingController"}.get(name, name)
        found += unchanged(now.get(name), before.get(name), path, _shown(now, name, shape))
        if name == "count":
            found += unchanged(now.get("reason"), before.get("reason"), "reason", _shown(now, "reason", ""))
    return found


def _shown(event: Object, name: str, shape: str) -> Any:
    value = event.get(name)
    if shape:
        return internal.shown(value, shape) if value is not None or name != "related" else None
    return value or "" if name in _TEXTS else value or 0 if name == "count" else value
