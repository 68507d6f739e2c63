"""The sandbox's clock: Azure takes minutes where the sandbox need not."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Literal

Speed = Literal["fast", "real", "stepped"]

FAST = 1 / 200  # a managed cluster takes Azure some five minutes; the sandbox's comes in about two seconds


class Clock:
    """Tells the time and scales Azure's waits.

    fast     Azure's seconds pass two hundred times as quickly (default)
    real     they take as long as Azure takes, to rehearse
    stepped  they pass only when a test calls `advance`
    """

    def __init__(self, speed: Speed = "fast") -> None:
        self.speed = speed
        self._ahead = 0.0  # seconds that `advance` added
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> dt.datetime:
        """The time now, in UTC."""
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self._ahead)

    async def sleep(self, seconds: float) -> None:
        """Waits what takes Azure `seconds`."""
        if self.speed == "stepped":
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sleepers.append((self._ahead + seconds, done))
            await done
        else:
            await asyncio.sleep(self.scaled(seconds))

    def scaled(self, seconds: float) -> float:
        """Seconds of this machine for `seconds` of Azure's."""
        return seconds * FAST if self.speed == "fast" else seconds

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass on a stepped clock; sleepers whose time has come wake."""
        self._ahead += seconds
        due = [s for s in self._sleepers if s[0] <= self._ahead]
        self._sleepers = [s for s in self._sleepers if s[0] > self._ahead]
        for _, done in due:
            if not done.done():
                done.set_result(None)
