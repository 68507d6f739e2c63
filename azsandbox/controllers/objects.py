"""What every workload controller asks of objects: copies, owners, conditions, counts and times."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence

import orjson

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import controller_of
from azsandbox.kubernetes.errors import StatusError

MAX_INT32 = 2**31 - 1


def copy_of(obj: Object) -> Object:
    """A deep copy: objects of a cache must not be changed."""
    copied: Object = orjson.loads(orjson.dumps(obj))
    return copied


def labels_of(obj: Object) -> dict[str, str]:
    return obj.get("metadata", {}).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    return obj.get("metadata", {}).get("annotations") or {}


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def is_going(obj: Object) -> bool:
    """Whether it has a deletion timestamp."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def owned_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` is the controlling owner of `obj`."""
    found = controller_of(obj)
    return found is not None and found["uid"] == uid_of(owner)


def controller_reference(owner: Object, api_version: str, kind: str) -> Object:
    """The owner reference that a controller puts on what it makes."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def by_age(obj: Object) -> tuple[str, str]:
    """Sort key: the oldest first, then by name."""
    return str(obj["metadata"].get("creationTimestamp") or ""), name_of(obj)


def time_of(text: str | None) -> dt.datetime | None:
    """A metav1.Time or MicroTime as a datetime."""
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def scaled(value: int | str | None, total: int, round_up: bool) -> int:
    """A number or percentage of `total` (intstr.GetScaledValueFromIntOrPercent). Raises ValueError on other text."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    share = int(value[:-1]) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def condition_of(status: Object, kind: str) -> Object | None:
    """The condition of a type in a status."""
    return next((c for c in status.get("conditions") or () if c["type"] == kind), None)


def is_true(status: Object, kind: str) -> bool:
    found = condition_of(status, kind)
    return found is not None and found["status"] == "True"


def namespace_is_going(error: StatusError) -> bool:
    """Whether a write was refused because its namespace is going away."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def dropping_empty(status: Object, keys: Iterable[str]) -> Object:
    """`status` without those of `keys` that are 0, as Go leaves them out (omitempty)."""
    return {key: value for key, value in status.items() if value not in (0, None, "") or key not in keys}


def earliest(times: Sequence[float | None]) -> float | None:
    """The least of the numbers among `times`."""
    return min((t for t in times if t is not None), default=None)


def first(items: Iterable[Object], test: Callable[[Object], bool]) -> Object | None:
    return next((item for item in items if test(item)), None)
