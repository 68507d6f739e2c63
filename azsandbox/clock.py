"""The sandbox's clock: Azure takes minutes where the sandbox need not."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Literal

Speed = Literal["fast", "real", "stepped"]

FAST = 1 / 600
"""Of Azure's time at the speed `fast`: ten minutes are a second, so that what takes its time is seen to, and is no longer."""

FAST_WORK = 1 / 200
"""Of Azure's time where work of this machine is measured by it, which no scale makes shorter: limits, and rounds of work."""


class Clock:
    """Tells the time and scales Azure's waits.

    fast     Azure's seconds pass six hundred times as quickly (default)
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
        await self._wait(seconds, self.scaled(seconds))

    async def pause(self, seconds: float) -> None:
        """Waits between two rounds of work that are `seconds` of Azure's apart."""
        await self._wait(seconds, self.patience(seconds))

    def scaled(self, seconds: float) -> float:
        """Seconds of this machine for `seconds` of Azure's."""
        return seconds * FAST if self.speed == "fast" else seconds

    def patience(self, seconds: float) -> float:
        """Seconds of this machine for a limit, or for what must have lasted, of `seconds` of Azure's."""
        return seconds * FAST_WORK if self.speed == "fast" else seconds

    async def _wait(self, seconds: float, real: float) -> None:
        if self.speed == "stepped":
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sleepers.append((self._ahead + seconds, done))
            await done
        else:
            await asyncio.sleep(real)

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass on a stepped clock; sleepers whose time has come wake."""
        self._ahead += seconds
        due = [s for s in self._sleepers if s[0] <= self._ahead]
        self._sleepers = [s for s in self._sleepers if s[0] > self._ahead]
        for _, done in due:
            if not done.done():
                done.set_result(None)


def metav1_time(moment: dt.datetime) -> str:
    """A time of UTC as metav1.Time writes it. C's strftime takes twice as long, as it asks for the machine's zone."""
    return f"{moment.isoformat(timespec='seconds')[:19]}Z"
