"""Rows on their way to a workspace: who makes them hands over a function, and goes on.

Azure takes minutes until a record can be queried; so does the sandbox, by its clock. In the meantime records are
collected, and then made and written in one batch, a few at a time so that requests are answered in between.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import deque
from collections.abc import Callable

from azsandbox.clock import Clock
from azsandbox.loganalytics.rows import Row, Rows

log = logging.getLogger("azsandbox.loganalytics")

Make = Callable[[], tuple[str, Row]]  # table and columns

MOST_WAITING = 20_000
"""Records that may be on their way; older ones are lost, as the log says, when more come."""

BATCH = 1_000
"""Records on their way that are written at once, before their time: bodies of requests must not pile up in memory."""

AT_ONCE = 50
"""Rows that are made before others get their turn."""


class Ingestion:
    """What is on its way to all workspaces. `latency` is in seconds of Azure's time."""

    def __init__(self, rows: Rows, clock: Clock, latency: float) -> None:
        self.rows, self.clock, self.latency = rows, clock, latency
        self._waiting: deque[tuple[str, Make]] = deque()
        self._some, self._many = asyncio.Event(), asyncio.Event()
        self._lost = 0

    def put(self, workspace: str, make: Make) -> None:
        """Takes a record for a workspace."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append((workspace, make))
        self._some.set()
        if len(self._waiting) >= BATCH:
            self._many.set()

    async def run(self) -> None:
        """Writes what comes, until cancelled; what is on its way then is written at once."""
        try:
            while True:
                await self._some.wait()
                await self._due()
                await self.flush()
        finally:
            self._write(list(self._taken(len(self._waiting))))

    async def _due(self) -> None:
        """Waits for the latency, or until a batch is full."""
        ways = [asyncio.ensure_future(self.clock.sleep(self.latency)), asyncio.ensure_future(self._many.wait())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()

    async def flush(self) -> None:
        """Writes what is on its way."""
        self._some.clear()
        self._many.clear()
        if self._lost:
            log.warning("%s log records were lost: more came than could be written", self._lost)
            self._lost = 0
        left = len(self._waiting)
        while left > 0:
            self._write(list(self._taken(min(AT_ONCE, left))))
            left -= AT_ONCE
            await asyncio.sleep(0)

    def _taken(self, count: int) -> list[tuple[str, str, Row]]:
        taken = []
        for _ in range(min(count, len(self._waiting))):
            workspace, make = self._waiting.popleft()
            try:
                table, row = make()
            except Exception:  # one that cannot be made is told of, and keeps no other from being written
                log.exception("a log record is lost")
                continue
            taken.append((workspace, table, row))
        return taken

    def _write(self, batch: list[tuple[str, str, Row]]) -> None:
        if batch:
            self.rows.add(batch)

    def expire(self, days: dict[str, int]) -> None:
        """Forgets rows that their workspace no longer keeps, and those of workspaces that are not named."""
        now = self.clock.now()
        for workspace in self.rows.workspaces():
            if workspace in days:
                self.rows.expire(workspace, now - dt.timedelta(days=days[workspace]))
            else:
                self.rows.forget(workspace)
