"""Cron schedules: five fields or a descriptor, in a time zone.

Grammar, texts of errors and the rules around changes of the clock: github.com/robfig/cron v3,
which Kubernetes parses spec.schedule with.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass

_MONTHS = {
    n: i + 1 for i, n in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
}
_DAYS = {n: i for i, n in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_BOUNDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_YEARS_AHEAD = 5  # a schedule that has no time within these never has


class ScheduleError(ValueError):
    """A schedule that cannot be parsed; the text is the parser's own."""


@dataclass(frozen=True)
class Field:
    """The values that a field allows; `star` if it was "*" or "?"."""

    values: frozenset[int]
    star: bool


@dataclass(frozen=True)
class Schedule:
    """A parsed schedule: five fields in a zone, or a fixed delay in seconds."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    zone: dt.tzinfo
    every: int = 0

    def next(self, after: dt.datetime) -> dt.datetime | None:
        """The first time after `after`, in UTC; None if there is none within five years."""
        after = after.astimezone(dt.UTC)
        if self.every:
            return after.replace(microsecond=0) + dt.timedelta(seconds=self.every)
        moment = after.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
        last_year = after.astimezone(self.zone).year + _YEARS_AHEAD
        while True:
            local = moment.astimezone(self.zone)
            if local.year > last_year:
                return None
            if local.month not in self.month.values:
                year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
                moment = self._at(year, month, 1)
            elif not self._is_day(local):
                following = local.date() + dt.timedelta(days=1)
                moment = self._at(following.year, following.month, following.day)
            elif local.hour not in self.hour.values:
                # by elapsed time: an hour that the clock leaves out does not come, one that it repeats comes twice
                moment += dt.timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minute.values:
                moment += dt.timedelta(minutes=1)
            else:
                return moment

    def _at(self, year: int, month: int, day: int) -> dt.datetime:
        return dt.datetime(year, month, day, tzinfo=self.zone).astimezone(dt.UTC)

    def _is_day(self, local: dt.datetime) -> bool:
        """If both day fields are narrowed either suffices, else both must match."""
        of_month = local.day in self.day.values
        of_week = (local.weekday() + 1) % 7 in self.weekday.values
        if self.day.star or self.weekday.star:
            return of_month and of_week
        return of_month or of_week


def parse(text: str, zone: str = "") -> Schedule:
    """Parses spec.schedule, in spec.timeZone or UTC. Raises ScheduleError."""
    if not text:
        raise ScheduleError("empty spec string")
    place = _zone(zone) if zone else dt.UTC
    if text.startswith(("TZ=", "CRON_TZ=")):
        name, _, text = text.partition(" ")
        place = _zone(name.split("=", 1)[1])
        text = text.strip()
    if text.startswith("@"):
        if text.startswith("@every "):
            return _every(text, place)
        if text not in _DESCRIPTORS:
            raise ScheduleError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != 5:
        raise ScheduleError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    minute, hour, day, month, weekday = (_field(part, of) for part, of in zip(parts, _BOUNDS, strict=True))
    return Schedule(minute, hour, day, month, weekday, place)


def _zone(name: str) -> dt.tzinfo:
    if name in ("", "UTC"):
        return dt.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(f"provided bad location {name}: unknown time zone {name}") from None


def _every(text: str, zone: dt.tzinfo) -> Schedule:
    duration = text.removeprefix("@every ")
    if not re.fullmatch(r"([0-9.]+(ns|us|µs|μs|ms|s|m|h))+", duration):
        raise ScheduleError(f'failed to parse duration {text}: time: invalid duration "{duration}"')
    seconds = sum(float(n) * _UNITS[u] for n, u in re.findall(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)", duration))
    anything = Field(frozenset(), True)
    return Schedule(anything, anything, anything, anything, anything, zone, max(int(seconds), 1))


def _field(text: str, bounds: tuple[int, int, dict[str, int]]) -> Field:
    values: set[int] = set()
    star = False
    for part in text.split(","):
        if part:
            found, any_value = _range(part, bounds)
            values |= found
            star |= any_value
    return Field(frozenset(values), star)


def _range(text: str, bounds: tuple[int, int, dict[str, int]]) -> tuple[set[int], bool]:
    """number | number "-" number [ "/" number ] | "*" [ "/" number ]"""
    least, most, names = bounds
    pieces = text.split("/")
    ends = pieces[0].split("-")
    single = len(ends) == 1
    star = False
    if ends[0] in ("*", "?"):
        start, end, star = least, most, True
    else:
        start = _number(ends[0], names)
        if len(ends) > 2:
            raise ScheduleError(f"too many hyphens: {text}")
        end = start if single else _number(ends[1], names)
    step = 1
    if len(pieces) > 2:
        raise ScheduleError(f"too many slashes: {text}")
    if len(pieces) == 2:
        step = _number(pieces[1], {})
        if single and not star:
            end = most
        if step > 1:
            star = False
    if start < least:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({least}): {text}")
    if end > most:
        raise ScheduleError(f"end of range ({end}) above maximum ({most}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return set(range(start, end + 1, step)), star


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        problem = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise ScheduleError(f"failed to parse int from {text}: {problem}")
    number = int(text)
    if number < 0:
        raise ScheduleError(f"negative number ({number}) not allowed: {text}")
    return number
