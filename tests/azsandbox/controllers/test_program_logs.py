"""Logs of containers whose programs the sandbox acts for, followed as `kubectl logs -f` does."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

from azsandbox.controllers.kubelet import logs
from azsandbox.controllers.output import ContainerOutput
from azsandbox.kubernetes.request import Request

STARTED = "2026-01-01T00:00:00Z"
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "n"},
    "spec": {"containers": [{"name": "c", "image": "example.com/teapot:1"}]},
    "status": {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": STARTED}}}]},
}


def followed(output: ContainerOutput, ended: asyncio.Event) -> AsyncIterator[bytes]:
    async def end() -> dict[str, Any] | None:
        await ended.wait()
        return None

    request = Request("GET", "/api/v1/namespaces/n/pods/p/log", {"follow": ["true"]}, {}, b"")
    found = logs.answer(POD, "c", request, end, output)
    assert not isinstance(found, bytes)
    return found


async def test_what_a_program_writes_is_told_until_its_container_ends() -> None:
    output, ended = ContainerOutput(), asyncio.Event()
    output.write("teapot", "one")
    stream = followed(output, ended)
    assert await anext(stream) == b"one\n"
    asyncio.get_running_loop().call_later(0.01, output.write, "teapot", "two")
    assert await anext(stream) == b"two\n"
    output.write("teapot", "three")
    ended.set()
    assert [chunk async for chunk in stream] == [b"three\n"]


async def test_nothing_goes_on_once_the_client_has_gone() -> None:
    output = ContainerOutput()
    output.write("teapot", "one")
    stream = followed(output, asyncio.Event())
    await anext(stream)
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    output.write("teapot", "two")  # to nobody
    assert [line for _, line in output.lines("teapot", dt.datetime.fromisoformat(STARTED))] == ["one", "two"]
