"""Requests and answers of Entra ID's endpoints, over ASGI."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from azsandbox.dispatch import Receive, Scope, Send
from azsandbox.request_bodies import read_whole

_BODY_LIMIT = 4 * 1024 * 1024


@dataclass
class Request:
    """An HTTP request with its whole body."""

    method: str
    path: str  # decoded, without doubled slashes
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    scheme: str = "https"
    form: dict[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """Scheme and host that the client used."""
        return f"{self.scheme}://{self.headers.get('host', 'localhost')}"


@dataclass
class Answer:
    """An HTTP answer: a JSON body, text, or None for no body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"

    async def send(self, send: Send) -> None:
        """Sends it."""
        if self.body is None:
            data = b""
        else:
            data = self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()
        headers = {"content-length": str(len(data)), "cache-control": "no-store, no-cache"} | self.headers
        if data:
            headers["content-type"] = self.content_type
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": data})


async def read(scope: Scope, receive: Receive) -> Request:
    """Reads a request. Raises ValueError when the body is larger than 4 MiB."""
    body = await read_whole(receive, _BODY_LIMIT, ValueError("the request body is larger than 4 MiB"))
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    query = _single(scope.get("query_string", b"").decode("latin-1"))
    path = unquote(scope["path"])
    while "//" in path:
        path = path.replace("//", "/")
    form: dict[str, str] = {}
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = _single(body.decode("utf-8", "replace"))
    return Request(scope["method"], path, query, headers, body, scope.get("scheme", "https"), form)


def _single(text: str) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(text, keep_blank_values=True).items()}
