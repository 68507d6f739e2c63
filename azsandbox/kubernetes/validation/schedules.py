"""Cron schedules: five fields, or a descriptor such as `@daily`.

Rules and texts: github.com/robfig/cron v3, its standard parser.
"""

from __future__ import annotations

from dataclasses import dataclass

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


@dataclass(frozen=True)
class _Bounds:
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0  # the number of the first name


_FIELDS = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, tuple(_MONTHS), 1),
    _Bounds(0, 6, tuple(_DAYS), 0),
)


class _Bad(Exception):
    pass


def schedule_error(text: str) -> str:
    """What is wrong with a schedule, in the parser's words; "" if nothing."""
    spec = text
    if spec.startswith(("TZ=", "CRON_TZ=")):
        zone, space, rest = spec.partition(" ")
        if not space:
            return f"provided bad location {zone.partition('=')[2]}: unknown time zone"
        spec = rest.strip()
    if spec.startswith("@"):
        if spec in _DESCRIPTORS or spec.startswith("@every "):
            return ""
        return f"unrecognized descriptor: {spec}"
    parts = spec.split()
    if len(parts) != 5:
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    try:
        for part, bounds in zip(parts, _FIELDS, strict=True):
            for expression in part.split(","):
                _range(expression, bounds)
    except _Bad as error:
        return str(error)
    return ""


def _range(expression: str, bounds: _Bounds) -> None:
    pieces = expression.split("/")
    ends = pieces[0].split("-")
    single = len(ends) == 1
    if ends[0] in ("*", "?"):
        low, high = bounds.low, bounds.high
    else:
        low = _value(ends[0], bounds)
        if single:
            high = low
        elif len(ends) == 2:
            high = _value(ends[1], bounds)
        else:
            raise _Bad(f"too many hyphens: {expression}")
    step = 1
    if len(pieces) == 2:
        step = _number(pieces[1])
        if single:
            high = bounds.high if ends[0] not in ("*", "?") else high
    elif len(pieces) > 2:
        raise _Bad(f"too many slashes: {expression}")
    if low < bounds.low:
        raise _Bad(f"beginning of range ({low}) below minimum ({bounds.low}): {expression}")
    if high > bounds.high:
        raise _Bad(f"end of range ({high}) above maximum ({bounds.high}): {expression}")
    if low > high:
        raise _Bad(f"beginning of range ({low}) beyond end of range ({high}): {expression}")
    if step == 0:
        raise _Bad(f"step of range should be a positive number: {expression}")


def _value(text: str, bounds: _Bounds) -> int:
    if text.lower() in bounds.names:
        return bounds.names.index(text.lower()) + bounds.first
    return _number(text)


def _number(text: str) -> int:
    if not text.lstrip("+-").isdigit():
        raise _Bad(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise _Bad(f"negative number ({number}) not allowed: {text}")
    return number
