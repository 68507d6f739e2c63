"""The HTTP face of an API server: ASGI in front, requests and answers behind."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from azsandbox.kubernetes.request import Request, Response, User
from azsandbox.kubernetes.server import ApiServer
from azsandbox.kubernetes.warnings.headers import headers as warning_headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BODY = 3 * 1024 * 1024  # bytes; kube-apiserver's limit of a request body
_MANY = ("impersonate-group",)  # headers that may come several times


def to_request(scope: Scope, body: bytes) -> Request:
    """An ASGI scope as a request."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in headers and (name in _MANY or name.startswith("impersonate-extra-")):
            value = f"{headers[name]}\n{value}"
        elif name in headers:
            value = f"{headers[name]},{value}"
        headers[name] = value
    raw_query = scope.get("query_string", b"").decode("latin-1")
    query = parse_query(raw_query)
    certificate = scope.get("client_certificate")
    user = certificate if isinstance(certificate, User) else None
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    client = scope.get("client")
    return Request(
        scope.get("method", "GET"),
        scope["path"],
        query,
        headers,
        body,
        certificate=user,
        uri=f"{path}?{raw_query}" if raw_query else path,
        client=str(client[0]) if client else "",
    )


def parse_query(text: str) -> dict[str, list[str]]:
    """A query's parameters; one that cannot be unescaped is left out, as Go's url.ParseQuery does."""
    found: dict[str, list[str]] = {}
    for part in text.split("&"):
        if not part or ";" in part:
            continue
        name, _, value = part.partition("=")
        with contextlib.suppress(ValueError):
            found.setdefault(_unescape(name), []).append(_unescape(value))
    return found


def _unescape(text: str) -> str:
    index = text.find("%")
    while index >= 0:
        int(text[index + 1 : index + 3] or "x", 16)  # ValueError: a bad escape
        if len(text) < index + 3:
            raise ValueError(text)
        index = text.find("%", index + 3)
    return urllib.parse.unquote_plus(text)


class Listener:
    """An ASGI application over an API server."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MOST_BODY:
                await self._too_large(send)
                return
            chunks.append(chunk)
            if not message.get("more_body"):
                break
        body = b"".join(chunks)
        response = await self.server.handle(to_request(scope, body))
        if response.stream is None:
            await self._whole(response, send)
        else:
            await self._streamed(response, receive, send)

    async def _too_large(self, send: Send) -> None:
        text = f"Request entity too large: limit is {MOST_BODY}"
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": text}
        body = orjson.dumps({**status, "reason": "RequestEntityTooLarge", "code": 413})
        await self._whole(Response(413, body, {"connection": "close"}), send)

    def _headers(self, response: Response) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", response.content_type.encode())] if response.content_type else []
        headers += [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
        if b"cache-control" not in dict(headers):
            headers.append((b"cache-control", b"no-cache, private"))
        headers += [(b"warning", text.encode()) for text in warning_headers(response.warnings)]
        return headers

    async def _whole(self, response: Response, send: Send) -> None:
        body = response.body if isinstance(response.body, bytes) else orjson.dumps(response.body)
        headers = [*self._headers(response), (b"content-length", str(len(body)).encode())]
        if response.status in (204, 304):
            headers = [h for h in headers if h[0] not in (b"content-length", b"content-type")]
            body = b""
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _streamed(self, response: Response, receive: Receive, send: Send) -> None:
        """Sends chunks as they come, until they end or the client goes away."""
        await send({"type": "http.response.start", "status": response.status, "headers": self._headers(response)})
        stream = response.stream
        assert stream is not None

        async def pump() -> None:
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        pumping, leaving = asyncio.create_task(pump()), asyncio.create_task(gone())
        try:
            await asyncio.wait((pumping, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pumping, leaving):
                if not task.done():
                    task.cancel()
            await asyncio.gather(pumping, leaving, return_exceptions=True)
            closing = getattr(stream, "aclose", None)
            if closing:
                await closing()
        if pumping.done() and not pumping.cancelled() and pumping.exception() is None:
            await send({"type": "http.response.body", "body": b""})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """exec, attach and port-forward; a refusal answers the handshake."""
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        request = to_request(scope, b"")
        socket = Socket(scope, receive, send)
        request.socket = socket
        response = await self.server.handle(request)
        if socket.accepted:
            await socket.close()
            return
        body = response.body if isinstance(response.body, bytes) else orjson.dumps(response.body)
        if "websocket.http.response" in scope.get("extensions", {}):
            start = {"type": "websocket.http.response.start", "status": response.status}
            await send({**start, "headers": self._headers(response)})
            await send({"type": "websocket.http.response.body", "body": body})
        else:
            await send({"type": "websocket.close", "code": 1008})


class Socket:
    """A WebSocket as what serves exec and port-forward sees it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.protocols: list[str] = list(scope.get("subprotocols") or [])
        self._receive, self._send = receive, send
        self._client_reads = scope.get("client_reads")
        self.accepted = False
        self.closed = False

    async def accept(self, protocol: str) -> None:
        """Opens it with one of the sub-protocols that the client offered."""
        await self._send({"type": "websocket.accept", "subprotocol": protocol or None})
        self.accepted = True

    async def reads(self) -> None:
        """Returns when the client reads what is sent, as far as the listener can tell."""
        if self._client_reads:
            await self._client_reads()

    async def receive(self) -> bytes | None:
        """The next message; None when the client has gone."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.closed = True
                return None
            if message["type"] == "websocket.receive":
                data = message.get("bytes")
                return data if data is not None else (message.get("text") or "").encode()

    async def send(self, data: bytes) -> None:
        if not self.closed:
            await self._send({"type": "websocket.send", "bytes": data})

    async def close(self, code: int = 1000) -> None:
        if not self.closed:
            self.closed = True
            with contextlib.suppress(RuntimeError):
                await self._send({"type": "websocket.close", "code": code})
