"""Azure's time on this machine."""

from __future__ import annotations

import asyncio

import pytest

from azsandbox.clock import Clock


@pytest.mark.parametrize(("speed", "wait", "limit"), [("fast", 1.0, 3.0), ("real", 600.0, 600.0)])
def test_waits_are_shorter_than_limits_since_what_is_limited_is_work(speed: str, wait: float, limit: float) -> None:
    clock = Clock(speed)  # type: ignore[arg-type]
    assert (clock.scaled(600), clock.patience(600)) == pytest.approx((wait, limit))


async def test_a_stepped_clock_ends_waits_and_pauses_when_their_time_has_come() -> None:
    clock = Clock("stepped")
    ended: list[str] = []

    async def after(name: str, wait: object) -> None:
        await wait  # type: ignore[misc]
        ended.append(name)

    tasks = [
        asyncio.create_task(after("wait", clock.sleep(10))),
        asyncio.create_task(after("pause", clock.pause(20))),
    ]
    await asyncio.sleep(0)
    for seconds, over in ((9, []), (1, ["wait"]), (10, ["wait", "pause"])):
        clock.advance(seconds)
        await asyncio.sleep(0)
        assert ended == over
    await asyncio.gather(*tasks)
