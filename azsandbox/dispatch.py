"""Which of the sandbox's applications answers for which host name.

In mode B clients come with Azure's own host names, in mode A with `localhost`, where the path tells.
Names that nobody serves are refused with the reason; nothing is ever passed on from here.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from azsandbox.store import CannotWrite

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("azsandbox.requests")

LOOPBACK = ("localhost", "127.0.0.1", "::1")

# What a path on localhost belongs to; the rest is Resource Manager's.
_ENTRA_PATH = re.compile(
    r"/(?:v1\.0|beta)(?:/|$)|/msi/token|/metadata/(?:identity|instance)|/devicelogin|/common/|/organizations/"
    r"|/[^/]+/(?:oauth2/|discovery/|v2\.0/|\.well-known/)",
    re.IGNORECASE,
)
_REGISTRY_PATH = re.compile(r"/v2(?:/|$)|/oauth2/(?:token|exchange)$")
_LOGS_PATH = re.compile(r"/v1/(?:workspaces/|subscriptions/|\$batch$)", re.IGNORECASE)
_ARM_PATH = re.compile(r"/(?:subscriptions|providers|tenants)(?:/|$)|/metadata/endpoints", re.IGNORECASE)


class Dispatch:
    """An ASGI application over others, chosen by host."""

    def __init__(self) -> None:
        self._exact: dict[str, App] = {}
        self._suffixes: dict[str, App] = {}
        self._finders: list[Callable[[str], App | None]] = []

    def serve(self, pattern: str, app: App) -> None:
        """Has `app` answer for `pattern`: a host name, or `*.suffix` for all below one."""
        pattern = pattern.lower()
        if pattern.startswith("*."):
            self._suffixes[pattern[1:]] = app
        else:
            self._exact[pattern] = app

    def ask(self, find: Callable[[str], App | None]) -> None:
        """Has `find` say who answers for a host that nobody was entered for."""
        self._finders.append(find)

    def owner(self, host: str) -> App | None:
        """The application for a host name without port, or None."""
        host = host.lower().rstrip(".")
        if host in self._exact:
            return self._exact[host]
        entered = next((app for suffix, app in self._suffixes.items() if host.endswith(suffix)), None)
        return entered or next((app for find in self._finders if (app := find(host)) is not None), None)

    def patterns(self) -> list[str]:
        """All names that are served, sorted."""
        return sorted([*self._exact, *("*" + suffix for suffix in self._suffixes)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = host_name(header(scope, b"host"))
        app = self.owner(host)
        if app is None:
            await refuse(scope, receive, send, 404, "HostNotServed", self.explain(host))
            return
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watched)
        except Exception as error:
            log.exception("%s %s%s failed", scope["method"], host, scope["path"])
            if status:
                raise
            text = (
                f"{error}." if isinstance(error, CannotWrite) else "The sandbox failed here; `azsandbox logs` says how."
            )
            await refuse(scope, receive, send, 500, "InternalServerError", text)
            status = 500
        finally:
            took = (time.perf_counter() - started) * 1000
            log.info("%s %s%s %s %.1f ms", scope["method"], host, scope["path"], status, took)

    def explain(self, host: str) -> str:
        """Says why a host is refused."""
        return (
            f"The sandbox does not serve the host {host!r} (it serves {', '.join(self.patterns())}). "
            "To let requests to other hosts through to the network, start it with `azsandbox up --tunnel`."
        )


def endpoint(arm: App, entra: App, git: App, registry: App, logs: App) -> App:
    """The application of mode A: Resource Manager, Entra ID, Graph, Git, registries and log queries on one host, told apart
    by path."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = re.sub("/{2,}", "/", scope.get("path", "/"))
        if path != scope.get("path"):
            scope["path"] = path
        if path.startswith("/git/"):
            await git(scope, receive, send)
            return
        if _REGISTRY_PATH.match(path):
            await registry(scope, receive, send)
            return
        if _LOGS_PATH.match(path):
            await logs(scope, receive, send)
            return
        is_entra = _ENTRA_PATH.match(path) and not _ARM_PATH.match(path)
        await (entra if is_entra else arm)(scope, receive, send)

    return app


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, code: str, message: str) -> None:
    """Answers with an error in the common envelope of Azure's services."""
    if scope["type"] != "http":
        return
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str:
    """The value of a request header, or ""."""
    return next((value.decode("latin-1") for key, value in scope.get("headers") or () if key == name), "")


def host_name(host: str) -> str:
    """A Host header or authority without its port, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")
