"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

log = logging.getLogger(__name__)

AGAIN = 0.25
"""Seconds after which a task that goes on is cancelled once more."""


async def end(tasks: Iterable[asyncio.Task[object]], seconds: float = 3.0) -> None:
    """Cancels `tasks` until they have ended, at most for `seconds`; those that go on are named in the log.

    A cancellation can be lost: `asyncio.wait_for` of Python 3.11 returns the result instead when both come at the same
    moment (cpython issue 86296), and a task that follows something for ever would then be waited for, for ever.
    """
    pending = {task for task in tasks if not task.done()}
    deadline = asyncio.get_running_loop().time() + seconds
    while pending and asyncio.get_running_loop().time() < deadline:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN)
    for task in pending:
        log.warning("task %s goes on after %s s", task.get_name(), seconds)
