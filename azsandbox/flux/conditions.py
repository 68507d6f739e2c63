"""Conditions of Flux's objects, as kstatus reads them (fluxcd/pkg/runtime/conditions)."""

from __future__ import annotations

from azsandbox.controllers.client import Object, Objects
from azsandbox.controllers.events import timestamp

READY, RECONCILING, STALLED = "Ready", "Reconciling", "Stalled"
# What a kubectl user should see first stands first; the rest by newest generation, then by name
_WEIGHTS = {STALLED: 0, RECONCILING: 1, READY: 2}
LONGEST = 32768  # characters of a message


def find(obj: Object, kind: str) -> Object | None:
    """The condition of a type, or None."""
    found: Objects = (obj.get("status") or {}).get("conditions") or []
    return next((condition for condition in found if condition["type"] == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    """Whether a condition is there and True."""
    found = find(obj, kind)
    return bool(found and found["status"] == "True")


def is_false(obj: Object, kind: str) -> bool:
    """Whether a condition is there and False."""
    found = find(obj, kind)
    return bool(found and found["status"] == "False")


def reason(obj: Object, kind: str) -> str:
    """The reason of a condition, empty where it is not there."""
    return str((find(obj, kind) or {}).get("reason", ""))


def message(obj: Object, kind: str) -> str:
    """The message of a condition, empty where it is not there."""
    return str((find(obj, kind) or {}).get("message", ""))


def mark(obj: Object, kind: str, status: str, why: str, text: str) -> None:
    """Sets a condition. Its transition time changes when anything of it but the generation does."""
    old = find(obj, kind)
    new = {
        "type": kind,
        "status": status,
        "reason": why,
        "message": text if len(text) <= LONGEST else text[: LONGEST - 3] + "...",
        "observedGeneration": obj["metadata"]["generation"],
        "lastTransitionTime": timestamp(),
    }
    if old and all(old.get(part) == new[part] for part in ("status", "reason", "message")):
        new["lastTransitionTime"] = old["lastTransitionTime"]
    status_of = obj.setdefault("status", {})
    rest = [c for c in status_of.get("conditions") or [] if c["type"] != kind]
    status_of["conditions"] = sorted([*rest, new], key=_order)


def _order(condition: Object) -> tuple[int, int, str]:
    kind = condition["type"]
    return _WEIGHTS.get(kind, 3), 0 if kind in _WEIGHTS else -condition.get("observedGeneration", 0), kind


def remove(obj: Object, *kinds: str) -> None:
    """Takes conditions away."""
    status = obj.setdefault("status", {})
    if "conditions" in status:
        status["conditions"] = [c for c in status["conditions"] if c["type"] not in kinds]


def mark_reconciling(obj: Object, why: str, text: str) -> None:
    """Reconciling, which takes Stalled away."""
    remove(obj, STALLED)
    mark(obj, RECONCILING, "True", why, text)


def mark_stalled(obj: Object, why: str, text: str) -> None:
    """Stalled, which takes Reconciling away."""
    remove(obj, RECONCILING)
    mark(obj, STALLED, "True", why, text)
