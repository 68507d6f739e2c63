"""Cells that many tables share: ages, names of containers, selectors as text.

Formats: k8s.io/kubernetes, pkg/printers/internalversion; k8s.io/apimachinery, util/duration.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from azsandbox.kubernetes.request import Object

Row = Callable[[Object], list[Any]]
NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"


def duration(seconds: float) -> str:
    """A duration as people read it: the shorter, the finer."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = days // 365
    return _two(years, "y", days % 365, "d") if hours < 24 * 365 * 8 else f"{years}y"


def _two(big: int, unit: str, small: int, small_unit: str) -> str:
    return f"{big}{unit}{small}{small_unit}" if small else f"{big}{unit}"


def moment(text: str | None) -> dt.datetime | None:
    """A time of an object, or None."""
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


@dataclass(frozen=True, slots=True)
class Age:
    """A cell that says how long ago something was, when the table is made."""

    then: float  # seconds since the epoch
    form: str = "%s"  # the text around it

    def text(self, now: float) -> str:
        """The cell at a time, in seconds since the epoch."""
        return self.form % duration(now - self.then)


def since(text: str | None) -> Age | str:
    """How long ago a time was."""
    then = moment(text)
    return Age(then.timestamp()) if then else UNKNOWN


def age(obj: Object) -> Age | str:
    return since(obj["metadata"].get("creationTimestamp"))


def name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def status(obj: Object) -> Object:
    return obj.get("status") or {}


def containers(pod_spec: Object) -> tuple[str, str]:
    """Names and images, each joined."""
    found = pod_spec.get("containers") or []
    return ",".join(c.get("name", "") for c in found), ",".join(c.get("image", "") for c in found)


def labels(value: dict[str, str] | None) -> str:
    """Labels as key=value, sorted."""
    return ",".join(f"{key}={text}" for key, text in sorted((value or {}).items())) or NONE


def selector(value: Object | None) -> str:
    """A LabelSelector as text."""
    if value is None:
        return NONE
    from azsandbox.kubernetes.selectors import from_object
    from azsandbox.kubernetes.subresources.scale import text_of

    return text_of(from_object(value)) or NONE


def more(items: Iterable[str], most: int = 3, total: int | None = None) -> str:
    """The first few items and how many are left."""
    found = list(items)
    count = len(found) if total is None else total
    text = ",".join(found[:most])
    return f"{text} + {count - most} more..." if count > most else text


def boolean(value: bool | None) -> str:
    return UNSET if value is None else ("True" if value else "False")
