"""The time that a query is about, as ISO 8601 writes it: a duration until now, or an interval."""

from __future__ import annotations

import datetime as dt
import re

_DURATION = re.compile(
    r"P(?:(\d+(?:\.\d+)?)Y)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_DAYS = (365.0, 30.0, 7.0, 1.0)


def interval(text: str, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """Start and end of P1D, start/end, start/P1D or P1D/end. Raises ValueError."""
    first, slash, second = text.strip().partition("/")
    if not slash:
        return now - _duration(first), now
    if first.upper().startswith("P"):
        end = _moment(second)
        return end - _duration(first), end
    start = _moment(first)
    return start, start + _duration(second) if second.upper().startswith("P") else _moment(second)


def _duration(text: str) -> dt.timedelta:
    match = _DURATION.fullmatch(text.strip().upper())
    if match is None or not any(match.groups()):
        raise ValueError(text)
    parts = [float(part or 0) for part in match.groups()]
    days = sum(part * size for part, size in zip(parts[:4], _DAYS, strict=True))
    return dt.timedelta(days=days, hours=parts[4], minutes=parts[5], seconds=parts[6])


def _moment(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.strip()))
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found
