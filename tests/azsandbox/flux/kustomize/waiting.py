"""Waiting for what a controller does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

SECONDS = 20.0


async def until(read: Callable[[], Awaitable[Any]], seen: Callable[[Any], bool]) -> Any:
    """What `read` gives once it is as wished. Fails with the last that it gave."""
    found: Any = None
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                found = await read()
                if seen(found):
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it never was as wished: {found}") from None
