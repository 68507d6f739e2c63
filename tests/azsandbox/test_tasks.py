"""Tasks end, also those that lose a cancellation."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from azsandbox.tasks import end


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def follow() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
    assert lost == 1


async def test_a_task_that_goes_on_is_named_and_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()

    async def stubborn() -> None:
        while not stop.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await stop.wait()

    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await end([task], seconds=0.3)
    assert "task stubborn goes on" in caplog.text
    stop.set()
    await task


async def test_tasks_that_have_ended_are_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end([task])
    assert not task.cancelled()
