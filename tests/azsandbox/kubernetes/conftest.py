"""An API server without a socket, asked as its master."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.request import MASTER, Request, Response
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Store

Ask = Callable[..., Awaitable[Response]]


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    """A server over an empty store, with what a new cluster holds."""
    server = ApiServer(Store(None).bucket("cluster"))
    bootstrap.fill(server)
    await server.custom.start()
    yield server
    await server.custom.stop()


@pytest.fixture
def ask(api: ApiServer) -> Ask:
    """Sends a request, `body` as JSON unless it is bytes."""

    async def send(method: str, url: str, body: Any = None, **headers: str) -> Response:
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        return await api.handle(Request.to(method, url, sent, given, MASTER))

    return send


def body_of(answer: Response) -> Any:
    """The JSON of an answer."""
    return answer.body if isinstance(answer.body, dict) else json.loads(answer.body)
