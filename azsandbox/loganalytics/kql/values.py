"""Values of Kusto's types in Python, their conversion, comparison, and how answers write them.

string    str; never null, empty instead        datetime  datetime in UTC
bool      bool                                  timespan  timedelta
int long  int                                   guid      str
real      float                                 decimal   Decimal
dynamic   what JSON has                         null      None
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

NUMBERS = ("int", "long", "real", "decimal")
CLR = {
    "string": "System.String",
    "bool": "System.SByte",
    "int": "System.Int32",
    "long": "System.Int64",
    "real": "System.Double",
    "datetime": "System.DateTime",
    "timespan": "System.TimeSpan",
    "dynamic": "System.Object",
    "guid": "System.Guid",
    "decimal": "System.Data.SqlTypes.SqlDecimal",
}
"""The names that getschema gives the types."""

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "tick": 1e-7, "ns": 1e-9}
_SPAN = re.compile(r"(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")
_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TIME_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%d %b %y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y", "%Y-%m", "%Y")


def short_timespan(text: str) -> dt.timedelta:
    """1d, 2.5h, 10ms, 3seconds."""
    match = re.fullmatch(r"([\d.]+)([a-z]+)", text)
    assert match is not None
    number, unit = float(match[1]), match[2]
    return dt.timedelta(seconds=number * _UNITS[_unit(unit)])


def _unit(word: str) -> str:
    if word in _UNITS:
        return word
    for start, unit in (
        ("day", "d"), ("hour", "h"), ("hr", "h"), ("min", "m"), ("sec", "s"), ("milli", "ms"), ("micro", "us"),
        ("tick", "tick"), ("nano", "ns"),
    ):  # fmt: skip
        if word.startswith(start):
            return unit
    raise KeyError(word)


def literal_timespan(text: str) -> dt.timedelta | None:
    """What stands in timespan(…): a number of days, 1h, or 1.02:03:04.5; None for anything else."""
    if re.fullmatch(r"-?[\d.]+", text):
        return dt.timedelta(days=float(text))
    if re.fullmatch(r"[\d.]+ ?[a-z]+", text):
        try:
            return short_timespan(text.replace(" ", ""))
        except (KeyError, ValueError):
            return None
    return to_timespan(text)


# --- conversion


def convert(value: Any, source: str, target: str) -> Any:
    """`value` of a type as one of another; None where it is none (and "" for a string)."""
    if source == target:
        return value
    if target == "string":
        return text(value, source)
    if value is None:
        return None
    if target == "dynamic":
        return value
    if source == "dynamic" and isinstance(value, (dict, list)):
        return None
    try:
        return _CONVERSIONS[target](value)
    except (ValueError, TypeError, OverflowError, InvalidOperation):
        return None


def to_bool(value: Any) -> bool | None:
    if isinstance(value, str):
        known = {"true": True, "false": False, "1": True, "0": False}
        return known.get(value.strip().lower())
    return bool(value)


def to_long(value: Any) -> int | None:
    if isinstance(value, str):
        stripped = value.strip()
        if re.fullmatch(r"[-+]?\d+", stripped):
            return int(stripped)
        if re.fullmatch(r"0[xX][0-9a-fA-F]+", stripped):
            return int(stripped, 16)
        return int(float(stripped)) if re.fullmatch(r"[-+]?\d*\.\d+", stripped) else None
    if isinstance(value, dt.datetime):
        return ticks(value - dt.datetime(1, 1, 1, tzinfo=dt.UTC))
    if isinstance(value, dt.timedelta):
        return ticks(value)
    return int(value)


def to_real(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value) else None
    return float(ticks(value)) if isinstance(value, dt.timedelta) else float(value)


def to_datetime(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=value / 10)
    if not isinstance(value, str):
        return None
    stripped = value.strip()
    stripped = re.sub(r"(\.\d{6})\d+", r"\1", stripped)
    try:
        found = dt.datetime.fromisoformat(stripped)
    except ValueError:
        for form in _TIME_FORMS:
            try:
                found = dt.datetime.strptime(stripped, form)
                break
            except ValueError:
                continue
        else:
            return None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def to_timespan(value: Any) -> dt.timedelta | None:
    if isinstance(value, dt.timedelta):
        return value
    if isinstance(value, int):
        return dt.timedelta(microseconds=value / 10)
    match = _SPAN.fullmatch(str(value).strip())
    if match is None:
        found = str(value).strip()
        return literal_timespan(found) if re.fullmatch(r"[\d.]+ ?[a-z]+", found) else None
    sign, days, hours, minutes, seconds, fraction = match.groups()
    span = dt.timedelta(
        days=int(days or 0),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds or 0),
        microseconds=int(f"{fraction or 0:0<7}") / 10 if fraction else 0,
    )
    return -span if sign else span


def _to_guid(value: Any) -> str | None:
    return str(value).lower() if _GUID.fullmatch(str(value).strip()) else None


_CONVERSIONS = {
    "bool": to_bool,
    "int": to_long,
    "long": to_long,
    "real": to_real,
    "decimal": lambda value: Decimal(str(value)),
    "datetime": to_datetime,
    "timespan": to_timespan,
    "guid": _to_guid,
}


# --- text


def ticks(span: dt.timedelta) -> int:
    """A timespan in its units of 100 ns."""
    return (span.days * 86_400 + span.seconds) * 10_000_000 + span.microseconds * 10


def written_datetime(value: dt.datetime, full: bool = False) -> str:
    """2026-01-02T03:04:05.123Z, zeros at the end of the fraction left out; `full`: seven decimals."""
    base = value.strftime("%Y-%m-%dT%H:%M:%S") if value.year >= 1000 else value.isoformat()[:19]
    if full:
        return f"{base}.{value.microsecond:06d}0Z"
    fraction = f"{value.microsecond:06d}".rstrip("0")
    return f"{base}.{fraction}Z" if fraction else f"{base}Z"


def written_timespan(value: dt.timedelta) -> str:
    """1.02:03:04.5000000, days and fraction only where there are some."""
    sign, span = ("-", -value) if value < dt.timedelta(0) else ("", value)
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{span.days}." if span.days else ""
    fraction = f".{span.microseconds:06d}0" if span.microseconds else ""
    return f"{sign}{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


def text(value: Any, kind: str) -> str:
    """tostring(): a value in words; null is the empty string."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ("true" if value else "false") if kind == "dynamic" else str(value)
    if isinstance(value, dt.datetime):
        return written_datetime(value, full=True)
    if isinstance(value, dt.timedelta):
        return written_timespan(value)
    if isinstance(value, (dict, list)):
        return written_json(value)
    if isinstance(value, float):
        return _real(value)
    return str(value)


def _real(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(int(value)) + ".0" if value.is_integer() and abs(value) < 1e15 else repr(value)


def written_json(value: Any) -> str:
    """A dynamic value as compact JSON."""
    return orjson.dumps(value, default=_json_default).decode()


def _json_default(value: Any) -> Any:
    if isinstance(value, dt.timedelta):
        return written_timespan(value)
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError


def parsed_json(value: Any) -> Any:
    """parse_json(): what a text holds, or the text itself where it is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value else None
    except ValueError:
        return value


def answered(value: Any, kind: str) -> Any:
    """A value as the query API writes it into JSON: dynamic ones as text, times in ISO 8601."""
    if value is None:
        return None
    if kind == "dynamic":
        return value if isinstance(value, str) else written_json(value)
    if isinstance(value, dt.datetime):
        return written_datetime(value)
    if isinstance(value, dt.timedelta):
        return written_timespan(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and (math.isnan(value) or math.isinf(value)):
        return _real(value)
    return value


# --- order


def key(value: Any) -> Any:
    """A value that can stand in a set or a dict: equal values have equal keys."""
    if isinstance(value, (dict, list)):
        return written_json(value)
    return value


def ordered(value: Any) -> tuple[int, Any]:
    """A key to sort by, for values of one type, and of dynamic values by their text where types differ."""
    if isinstance(value, bool):
        return (1, int(value))
    if isinstance(value, (int, float, Decimal)):
        return (1, float(value)) if isinstance(value, Decimal) else (1, value)
    if isinstance(value, (dict, list)):
        return (4, written_json(value))
    if isinstance(value, dt.datetime):
        return (2, value.timestamp())
    if isinstance(value, dt.timedelta):
        return (2, value.total_seconds())
    return (3, str(value))
