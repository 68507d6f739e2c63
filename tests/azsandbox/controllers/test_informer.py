"""Informers: what they do when the server behaves badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from azsandbox.controllers.informer import Informer


class Ended:
    """A server that is being taken down: lists are empty and every watch ends at once, without a wait."""

    async def request(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": []}

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[dict[str, Any]]:
        for event in ():
            yield event


async def test_watches_that_end_at_once_leave_the_event_loop_to_others() -> None:
    # Deleting a cluster hung the whole sandbox: an informer began its watch again and again without ever waiting.
    informer: Any = Informer(Ended(), "v1", "pods")  # type: ignore[arg-type]
    task = asyncio.create_task(informer.run())
    async with asyncio.timeout(2):
        await asyncio.sleep(0.1)
    task.cancel()
    assert informer.version == 7
