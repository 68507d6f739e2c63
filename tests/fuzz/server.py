"""A cluster to send odd requests to, and what counts as a fault in its answers."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any
from urllib.parse import unquote

from tests.fidelity.connection import Connection
from tests.fuzz.requests import Api, Sent

SECONDS = 20.0  # within which every request is answered

# Errors of the server that Kubernetes itself answers with.
KNOWN = (
    "resourceVersion should not be set on objects to be created",
    "resourceVersion: Invalid value",
    "strconv.ParseUint",
    "failed to create typed patch object",
    "failed to create manager",
    "failed to convert new object",
    "target.name: Required value",  # of a binding
    "target.kind: Unsupported value",
    "This pod has more than one PodDisruptionBudget",
)
_OPEN = re.compile(r"/(exec|attach|portforward|log|proxy)(/|\?|$)|[?&]watch=(true|1)|/watch/")


class Fault(AssertionError):
    """An answer that no server may give."""


class Line(Connection):
    """A connection that waits no longer than a request may take."""

    def open(self, timeout: float = SECONDS) -> http.client.HTTPSConnection:
        return super().open(timeout)


def api_of(connection: Line) -> Api:
    """The operations that a server's OpenAPI document names."""
    index = json.loads(connection.request("GET", "/openapi/v3")[2])["paths"]
    documents = [
        json.loads(connection.request("GET", unquote(item["serverRelativeURL"]))[2]) for item in index.values()
    ]
    return Api(documents)


def judge(sent: Sent, status: int, body: bytes) -> None:
    """Raises Fault for an error of the server's own."""
    if status < 500 or status in (501, 503, 504):
        return
    try:
        answer: Any = json.loads(body)
        message = str(answer.get("message"))
    except ValueError:
        message = body[:300].decode(errors="replace")
    if not any(text in message for text in KNOWN):
        raise Fault(f"{status} {message}\n{sent}")


def send(connection: Line, sent: Sent) -> int:
    """Sends a request and judges its answer; returns its status. Raises Fault."""
    if _OPEN.search(sent.url):
        return 0  # answered by a stream
    try:
        status, _, body = connection.request(sent.method, sent.url, sent.body, dict(sent.headers))
    except (OSError, http.client.HTTPException) as error:
        if not isinstance(error, TimeoutError):
            raise Fault(f"the connection broke: {error!r}\n{sent}") from None
        raise Fault(f"no answer within {SECONDS:.0f} s\n{sent}") from None
    judge(sent, status, body)
    return int(status)
