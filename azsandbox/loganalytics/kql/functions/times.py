"""Functions of times. A week begins on Sunday."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.functions.model import ANY, Kinds, function

_DAY = dt.timedelta(days=1)
_TICK = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SPANS = {
    "week": 7 * 86_400.0,
    "day": 86_400.0,
    "hour": 3_600.0,
    "minute": 60.0,
    "second": 1.0,
    "millisecond": 1e-3,
    "microsecond": 1e-6,
}


def _day(moment: dt.datetime) -> dt.datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _week(moment: dt.datetime) -> dt.datetime:
    return _day(moment) - _DAY * ((moment.weekday() + 1) % 7)


def _month(moment: dt.datetime) -> dt.datetime:
    return _day(moment).replace(day=1)


def _year(moment: dt.datetime) -> dt.datetime:
    return _month(moment).replace(month=1)


def _months_later(moment: dt.datetime, count: int) -> dt.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _start(of: Callable[[dt.datetime], dt.datetime], later: Callable[[dt.datetime, int], dt.datetime]) -> Any:
    return function("datetime long", "datetime", lambda moment, offset=0: later(of(moment), offset), optional=1)


def _end(of: Callable[[dt.datetime], dt.datetime], later: Callable[[dt.datetime, int], dt.datetime]) -> Any:
    def compute(moment: dt.datetime, offset: int = 0) -> dt.datetime:
        return later(of(moment), offset + 1) - _TICK

    return function("datetime long", "datetime", compute, optional=1)


def _add(part: str, amount: int, moment: dt.datetime) -> dt.datetime | None:
    part = part.lower()
    if part in _SPANS:
        return moment + dt.timedelta(seconds=_SPANS[part] * amount)
    months = {"month": 1, "quarter": 3, "year": 12}.get(part)
    return _months_later(moment, months * amount) if months else None


def _diff(part: str, first: dt.datetime, second: dt.datetime) -> int | None:
    """Borders of a part between two times, as datetime_diff counts."""
    part = part.lower()
    if part == "year":
        return first.year - second.year
    if part in ("month", "quarter"):
        size = 1 if part == "month" else 3
        return (first.year * 12 + first.month - 1) // size - (second.year * 12 + second.month - 1) // size
    if part == "week":
        return (_week(first) - _week(second)).days // 7
    if part not in _SPANS:
        return None
    size_of = dt.timedelta(seconds=_SPANS[part])
    return (first - _EPOCH) // size_of - (second - _EPOCH) // size_of


def _part(part: str, moment: dt.datetime) -> int | None:
    simple = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    part = part.lower()
    if part in simple:
        return int(getattr(moment, part))
    return {
        "millisecond": moment.microsecond // 1000,
        "quarter": (moment.month - 1) // 3 + 1,
        "week_of_year": moment.isocalendar().week,
        "weekofyear": moment.isocalendar().week,
        "dayofyear": moment.timetuple().tm_yday,
    }.get(part)


def _formatted(pattern: str, moment: Any) -> str:
    """Kusto's patterns: yyyy, MM, dd, HH, hh, mm, ss, fff …, tt; any other character stands for itself."""
    fraction = f"{moment.microsecond:06d}0"
    parts = {
        "yyyy": f"{moment.year:04d}",
        "yy": f"{moment.year % 100:02d}",
        "MM": f"{moment.month:02d}",
        "M": str(moment.month),
        "dd": f"{moment.day:02d}",
        "d": str(moment.day),
        "HH": f"{moment.hour:02d}",
        "H": str(moment.hour),
        "hh": f"{moment.hour % 12 or 12:02d}",
        "h": str(moment.hour % 12 or 12),
        "mm": f"{moment.minute:02d}",
        "m": str(moment.minute),
        "ss": f"{moment.second:02d}",
        "s": str(moment.second),
        "tt": "AM" if moment.hour < 12 else "PM",
    }

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        if found[0] in "fF":
            digits = fraction[: len(found)]
            return digits if found[0] == "f" else digits.rstrip("0")
        return parts[found]

    return re.sub(r"yyyy|yy|MM?|dd?|HH?|hh?|mm?|ss?|tt|f{1,7}|F{1,7}", replace, pattern)


def _span_formatted(span: dt.timedelta, pattern: str) -> str:
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    numbers = {"d": span.days, "H": hours, "h": hours, "m": minutes, "s": seconds}
    fraction = f"{span.microseconds:06d}0"

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        if found[0] in "fF":
            return fraction[: len(found)]
        return f"{numbers[found[0]]:0{len(found)}d}"

    return re.sub(r"d{1,8}|H{1,2}|h{1,2}|m{1,2}|s{1,2}|f{1,7}|F{1,7}", replace, pattern)


def _make_datetime(*parts: float) -> dt.datetime:
    year, month, day, hour, minute = (int(part) for part in (*parts[:5], 0, 0)[:5])
    base = dt.datetime(year, month, day, hour if len(parts) > 3 else 0, minute if len(parts) > 4 else 0, tzinfo=dt.UTC)
    return base + dt.timedelta(seconds=parts[5] if len(parts) > 5 else 0)


def _made(kinds: Kinds) -> Callable[..., Any]:
    if len(kinds) == 1:
        return values.to_datetime
    return lambda *parts: _make_datetime(*(float(part) for part in parts))


def _make_timespan(*parts: float) -> dt.timedelta:
    names = {2: ("hours", "minutes"), 3: ("hours", "minutes", "seconds"), 4: ("days", "hours", "minutes", "seconds")}
    return dt.timedelta(**dict(zip(names[len(parts)], parts, strict=True)))


def _unix(unit: float) -> Any:
    return function("real", "datetime", lambda value: _EPOCH + dt.timedelta(seconds=value * unit))


def _later(moment: dt.datetime, count: int) -> dt.datetime:
    return moment + _DAY * count


FUNCTIONS = {
    "startofday": _start(_day, _later),
    "startofweek": _start(_week, lambda moment, count: moment + 7 * _DAY * count),
    "startofmonth": _start(_month, _months_later),
    "startofyear": _start(_year, lambda moment, count: moment.replace(year=moment.year + count)),
    "endofday": _end(_day, _later),
    "endofweek": _end(_week, lambda moment, count: moment + 7 * _DAY * count),
    "endofmonth": _end(_month, _months_later),
    "endofyear": _end(_year, lambda moment, count: moment.replace(year=moment.year + count)),
    "dayofweek": function("datetime", "timespan", lambda moment: _DAY * ((moment.weekday() + 1) % 7)),
    "dayofmonth": function("datetime", "int", lambda moment: moment.day),
    "dayofyear": function("datetime", "int", lambda moment: moment.timetuple().tm_yday),
    "hourofday": function("datetime", "int", lambda moment: moment.hour),
    "monthofyear": function("datetime", "int", lambda moment: moment.month),
    "getmonth": function("datetime", "int", lambda moment: moment.month),
    "getyear": function("datetime", "int", lambda moment: moment.year),
    "week_of_year": function("datetime", "long", lambda moment: moment.isocalendar().week),
    "datetime_add": function("string long datetime", "datetime", _add),
    "datetime_diff": function("string datetime datetime", "long", _diff),
    "datetime_part": function("string datetime", "int", _part),
    "format_datetime": function("datetime string", "string", lambda moment, pattern: _formatted(pattern, moment)),
    "format_timespan": function("timespan string", "string", _span_formatted),
    "make_datetime": function(ANY, "datetime", _made, many=True, by_type=True),
    "make_timespan": function("real real", "timespan", lambda *parts: _make_timespan(*parts), many=True),
    "unixtime_seconds_todatetime": _unix(1.0),
    "unixtime_milliseconds_todatetime": _unix(1e-3),
    "unixtime_microseconds_todatetime": _unix(1e-6),
    "unixtime_nanoseconds_todatetime": _unix(1e-9),
}
