"""What a query may take: time and rows. Azure Monitor service limits, "Query API": 10 minutes, 500,000 rows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from azsandbox.loganalytics.kql.errors import TimeIsUp, TooLarge

MOST_ROWS = 500_000
"""Rows of a result, and here of each table on the way to it."""

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Lets the query within take no more than `seconds`."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def check(rows: int) -> None:
    """Raises TooLarge for more rows than a table may have, and TimeIsUp. Cheap enough to be asked once a row."""
    if rows > MOST_ROWS:
        raise TooLarge(MOST_ROWS)
    if rows % 1000 == 0 and time.monotonic() > _deadline.get():
        raise TimeIsUp
