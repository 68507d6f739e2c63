"""Conditions of Flux's objects: set, removed, and summed up in Ready (fluxcd/pkg/runtime/conditions)."""

from __future__ import annotations

from azsandbox.controllers.client import Object, Objects
from azsandbox.controllers.events import timestamp


def find(obj: Object, kind: str) -> Object | None:
    """The condition of a type, or None."""
    found: Objects = obj.setdefault("status", {}).get("conditions") or []
    return next((condition for condition in found if condition["type"] == kind), None)


def mark(obj: Object, kind: str, status: str, reason: str, message: str) -> None:
    """Sets a condition. Its transition time changes when anything of it but the generation does."""
    old = find(obj, kind)
    new = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": obj["metadata"]["generation"],
        "lastTransitionTime": timestamp(),
    }
    if old and all(old.get(part) == new[part] for part in ("status", "reason", "message")):
        new["lastTransitionTime"] = old["lastTransitionTime"]
    conditions = [c for c in obj["status"].get("conditions") or [] if c["type"] != kind]
    obj["status"]["conditions"] = [*conditions, new]


def remove(obj: Object, *kinds: str) -> None:
    """Takes conditions away."""
    status = obj.setdefault("status", {})
    if "conditions" in status:
        status["conditions"] = [c for c in status["conditions"] if c["type"] not in kinds]


def progressing(obj: Object, drift: bool, message: str) -> None:
    """Reconciling, and Ready unknown where the state has drifted or is not known yet (runtime/reconcile)."""
    mark(obj, "Reconciling", "True", "Progressing", message)
    ready = find(obj, "Ready")
    if drift or ready is None or ready["status"] == "Unknown":
        mark(obj, "Ready", "Unknown", "Progressing", message)


def retrying(obj: Object) -> None:
    """A Reconciling condition that is still there after a failure says that it is tried again."""
    found = find(obj, "Reconciling")
    if found:
        mark(obj, "Reconciling", "True", "ProgressingWithRetry", found["message"])


# In the order in which they become the message of Ready: failures first (source-controller, summarize)
_FAILURES = ("Stalled", "StorageOperationFailed", "FetchFailed", "IncludeUnavailable", "ArtifactOutdated")


def summarize(obj: Object) -> None:
    """Ready from the other conditions of a source."""
    verified = find(obj, "SourceVerified")
    if verified and verified["status"] == "False":
        mark(obj, "Ready", "False", verified["reason"], verified["message"])
        return
    for kind in _FAILURES:
        failed = find(obj, kind)
        if failed and failed["status"] == "True":
            mark(obj, "Ready", "False", failed["reason"], failed["message"])
            return
    stored = find(obj, "ArtifactInStorage")
    if stored and find(obj, "Reconciling") is None:
        mark(obj, "Ready", stored["status"], stored["reason"], stored["message"])
