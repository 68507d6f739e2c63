"""A chart's `lookup`: Helm's library reads the cluster by HTTP, so a port of loopback answers it with a client's eyes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import orjson

from azsandbox.controllers.client import KubeClient

WORD = "lookup"
_LONGEST = 64 << 10  # bytes of a request's head
_REASONS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


@contextlib.asynccontextmanager
async def reading(client: KubeClient) -> AsyncIterator[dict[str, Any]]:
    """A port that answers GET as `client` would be, for as long as the block lasts.

    Gives how helm_python.Config reaches it. The path begins with a token that is good for this block alone: a header
    would be of no use, as Go's clients send none of their credentials without TLS.
    """
    token = secrets.token_urlsafe(24)
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status, body = await _answer(client, head, token)
                lines = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n"
                writer.write(f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LONGEST)
    try:
        yield {"kubeconfig_content": _kubeconfig(server.sockets[0].getsockname()[1], token)}
    finally:
        server.close()
        for writer in connections:
            writer.close()
        await server.wait_closed()


async def _answer(client: KubeClient, head: str, token: str) -> tuple[int, bytes]:
    method, url, *_ = head.split(" ")
    if not secrets.compare_digest(url[: len(token) + 2], f"/{token}/"):
        return 401, _status(401, "Unauthorized")
    if method != "GET":
        return 405, _status(405, "lookup reads")
    own = {"accept": "application/json", "user-agent": client.user_agent, **client.headers}
    return await client.transport.send("GET", url[len(token) + 1 :], own, b"")


def _status(code: int, message: str) -> bytes:
    return orjson.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message})


def _kubeconfig(port: int, token: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lookup",
        "clusters": [{"name": "lookup", "cluster": {"server": f"http://127.0.0.1:{port}/{token}"}}],
        "contexts": [{"name": "lookup", "context": {"cluster": "lookup", "user": ""}}],
    }
    return orjson.dumps(config).decode()
