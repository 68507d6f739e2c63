"""Requests and answers of the registry's data plane, over ASGI; bodies of blobs are streamed both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from azsandbox.dispatch import Receive, Scope, Send

BODY_LIMIT = 4 * 1024 * 1024  # bytes of a manifest or a form (Azure: "Maximum size of manifest, 4 MiB")


class BodyTooLarge(Exception):
    """A body that is read whole is larger than allowed."""


class Disconnected(Exception):
    """The client went away in the middle of its request."""


@dataclass
class Request:
    """An HTTP request whose body is still to be read."""

    method: str
    path: str  # decoded
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    receive: Receive
    scheme: str = "https"
    scopes: list[str] = field(default_factory=list)  # every `scope` of the query: it may come more than once

    @property
    def host(self) -> str:
        """Host and port that the client used."""
        return self.headers.get("host", "localhost").lower()

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://{self.host}"

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes in. Raises Disconnected."""
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body

    async def body(self, limit: int = BODY_LIMIT) -> bytes:
        """The whole body. Raises BodyTooLarge."""
        parts, size = [], 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge
            parts.append(chunk)
        return b"".join(parts)

    async def form(self) -> list[tuple[str, str]]:
        """The fields of a form, in order."""
        text = (await self.body()).decode("utf-8", "replace")
        return parse_qsl(text, keep_blank_values=True)


@dataclass
class Answer:
    """An HTTP answer: JSON, bytes, a stream, or nothing."""

    status: int = 200
    body: Any = None  # JSON, unless `content` or `stream` is set
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    stream: AsyncIterator[bytes] | None = None  # its length stands in the headers

    async def send(self, send: Send, head: bool = False) -> None:
        """Sends it; of an answer to HEAD the headers only."""
        headers = dict(self.headers)
        content = self.content
        if content is None and self.body is not None:
            content = json.dumps(self.body, separators=(",", ":")).encode()
            headers.setdefault("Content-Type", "application/json; charset=utf-8")
        if self.stream is None and self.status != 204:
            headers.setdefault("Content-Length", str(len(content or b"")))
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        if self.stream is not None and not head:
            async for chunk in self.stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0)  # others get their turn while a large blob goes out
            content = b""
        await send({"type": "http.response.body", "body": b"" if head else content or b""})


def read(scope: Scope, receive: Receive) -> Request:
    """The request in an ASGI scope."""
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    path = unquote(raw.partition("?")[0])
    scopes = [value for name, value in pairs if name == "scope"]
    return Request(scope["method"], path, dict(pairs), headers, receive, scope.get("scheme", "https"), scopes)
