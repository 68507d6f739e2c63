"""Serving ASGI over TLS on a socket, within a running event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import uvicorn


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it runs in."""

    def install_signal_handlers(self) -> None:
        return None

    def capture_signals(self) -> Any:
        import contextlib

        return contextlib.nullcontext()


async def serve(
    app: Any, listening: socket.socket, context: ssl.SSLContext
) -> tuple[uvicorn.Server, asyncio.Task[None]]:
    """Starts serving `app`; returns the server (set `should_exit` to end it) and its task, once it accepts."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="wsproto",
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
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="serve kubernetes")
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.002)
    return server, task
