"""Serving ASGI over TLS on a socket, within a running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import time
from typing import Any

import uvicorn
import wsproto.events
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from azsandbox.http_connection import HttpConnection
from azsandbox.kubernetes.request import User


def certificate_user(transport: Any) -> User | None:
    """Whom the verified certificate of a connection's client names: the common name, with organizations as groups."""
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    shown = tls.getpeercert() if tls is not None else None
    if not tls or not shown:
        return None
    parts = [pair for group in shown.get("subject", ()) for pair in group]
    names = [value for key, value in parts if key == "commonName"]
    groups = tuple(value for key, value in parts if key == "organizationName")
    if not names:
        return None
    digest = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
    return User(names[0], groups, extra={"authentication.kubernetes.io/credential-id": (f"X509SHA256={digest}",)})


class _Http(HttpConnection):
    """HTTP that tells the application of the client's certificate."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._user = certificate_user(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["client_certificate"] = self._user  # type: ignore[typeddict-unknown-key]


class _WebSocket(WSProtocol):
    """WebSockets that tell it too, and whether the client has begun to read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._heard = asyncio.Event()

    async def run_asgi(self) -> None:
        self.scope["client_certificate"] = certificate_user(self.transport)  # type: ignore[typeddict-unknown-key]
        self.scope["client_reads"] = self._client_reads  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    async def _client_reads(self) -> None:
        """Returns when the client has answered a ping, has sent anything else, or is gone."""
        if not (self._heard.is_set() or self.close_sent or self.transport.is_closing()):
            self.transport.write(self.conn.send(wsproto.events.Ping()))
            await self._heard.wait()

    def data_received(self, data: bytes) -> None:
        opened = self.handshake_complete
        super().data_received(data)
        if opened:
            self._heard.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._heard.set()


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it runs in, and wakes once a second instead of ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Has it stop serving; its task ends soon."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """Keeps the Date header of answers at the present second, until the end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 - time.time() % 1):
                    await self._ended.wait()

    def install_signal_handlers(self) -> None:
        return None

    def capture_signals(self) -> Any:
        return contextlib.nullcontext()


async def serve(app: Any, listening: socket.socket, context: ssl.SSLContext) -> tuple[Server, asyncio.Task[None]]:
    """Starts serving `app`; returns the server (`end` ends it) and its task, once it accepts."""
    config = uvicorn.Config(
        app,
        http=_Http,
        ws=_WebSocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=120,
        ws_max_size=16 * 1024 * 1024,
    )
    config.load()
    config.ssl = context
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="serve kubernetes")
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.002)
    return server, task
