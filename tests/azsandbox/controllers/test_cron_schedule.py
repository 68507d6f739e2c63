"""Cron schedules: what they mean, what is refused, and the clock's changes."""

from __future__ import annotations

import datetime as dt

import pytest

from azsandbox.controllers import cron_schedule
from azsandbox.controllers.cron_schedule import ScheduleError


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("*/15 * * * *", "2026-01-01T00:00:30", "2026-01-01T00:15:00"),
        ("0 3 * * *", "2026-01-01T03:00:00", "2026-01-02T03:00:00"),
        ("30 8 * * mon-fri", "2026-01-02T09:00:00", "2026-01-05T08:30:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-02-01T00:00:00", "2026-02-06T00:00:00"),  # either day suffices
        ("0 0 */10 * *", "2026-01-02T00:00:00", "2026-01-11T00:00:00"),
        ("@monthly", "2026-01-15T00:00:00", "2026-02-01T00:00:00"),
        ("@every 90s", "2026-01-01T00:00:00", "2026-01-01T00:01:30"),
        ("5/20 1 * JAN ?", "2026-01-01T01:06:00", "2026-01-01T01:25:00"),
    ],
)
def test_next_time(schedule: str, after: str, expected: str) -> None:
    assert cron_schedule.parse(schedule).next(at(after)) == at(expected)


def test_a_zone_shifts_the_schedule() -> None:
    schedule = cron_schedule.parse("0 3 * * *", "Europe/Amsterdam")
    assert schedule.next(at("2026-01-01T00:00:00")) == at("2026-01-01T02:00:00")
    assert schedule.next(at("2026-07-01T00:00:00")) == at("2026-07-01T01:00:00")
    assert cron_schedule.parse("TZ=Asia/Tokyo 0 9 * * *").next(at("2026-01-01T00:00:00")) == at("2026-01-02T00:00:00")


def test_an_hour_that_the_clock_leaves_out_does_not_come() -> None:
    schedule = cron_schedule.parse("30 2 * * *", "Europe/Amsterdam")
    assert schedule.next(at("2026-03-28T12:00:00")) == at("2026-03-30T00:30:00")


def test_an_hour_that_the_clock_repeats_comes_twice() -> None:
    schedule = cron_schedule.parse("30 2 * * *", "Europe/Amsterdam")
    first = schedule.next(at("2026-10-24T12:00:00"))
    assert first == at("2026-10-25T00:30:00")
    assert schedule.next(at("2026-10-25T00:30:00")) == at("2026-10-25T01:30:00")


def test_a_date_that_never_comes() -> None:
    assert cron_schedule.parse("0 0 31 2 *").next(at("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ],
)
def test_what_is_refused(schedule: str, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        cron_schedule.parse(schedule)
    assert str(refused.value) == message


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ScheduleError, match="unknown time zone Mars/Base"):
        cron_schedule.parse("@daily", "Mars/Base")
