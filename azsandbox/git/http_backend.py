"""Git's own HTTP server program, git-http-backend, behind ASGI: both ways streamed, no shell.

The program is started with a path that was checked against the table of repositories, never with what a client sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from azsandbox.dispatch import Receive, Scope, Send, header
from azsandbox.git.repository import environment

log = logging.getLogger("azsandbox.git")

_CHUNK = 65536
_HEAD_LIMIT = 65536


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """The chunks of a request's body. Raises ConnectionError when the client goes away."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        chunk = message.get("body", b"")
        if chunk:
            yield chunk
        if not message.get("more_body"):
            return


async def run(
    scope: Scope,
    send: Send,
    body: AsyncIterator[bytes],
    *,
    root: Path,
    path: str,
    user: str,
    configuration: dict[str, str] | None = None,
    ended: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serves one request of git's smart protocol.

    `path` is below `root`, as `/name.git/info/refs`; `user` is who signed in, "" for nobody; `configuration` holds
    git settings for this request alone; `ended` is awaited when git is done, before the answer ends.
    """
    variables = environment() | {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "REQUEST_METHOD": scope["method"],
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "REMOTE_ADDR": "127.0.0.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    for variable, name in (
        ("CONTENT_TYPE", b"content-type"),
        ("CONTENT_LENGTH", b"content-length"),
        ("HTTP_CONTENT_ENCODING", b"content-encoding"),
        ("GIT_PROTOCOL", b"git-protocol"),
    ):
        if value := header(scope, name):
            variables[variable] = value
    if user:
        variables["REMOTE_USER"] = user
    for number, (key, value) in enumerate((configuration or {}).items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    variables["GIT_CONFIG_COUNT"] = str(len(configuration or {}))
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=variables,
        limit=_CHUNK * 4,
    )
    feeding = asyncio.create_task(_feed(process, body))
    complaints = asyncio.create_task(_complaints(process, path))
    try:
        await _answer(process, send, ended)
    finally:
        feeding.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.wait()
        await asyncio.gather(feeding, complaints, return_exceptions=True)


async def _feed(process: asyncio.subprocess.Process, body: AsyncIterator[bytes]) -> None:
    """Hands the body to git, as fast as git takes it."""
    stdin = process.stdin
    assert stdin is not None
    try:
        async for chunk in body:
            stdin.write(chunk)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # git has read what it wants
    except (ConnectionError, ValueError):
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    finally:
        stdin.close()


async def _complaints(process: asyncio.subprocess.Process, path: str) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        log.info("%s: %s", path, line.decode("utf-8", "replace").rstrip())


async def _answer(process: asyncio.subprocess.Process, send: Send, ended: Callable[[], Awaitable[None]] | None) -> None:
    """Sends the program's headers and output; the last part only when `ended` is done."""
    stdout = process.stdout
    assert stdout is not None
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_LIMIT:
        chunk = await stdout.read(_CHUNK)
        if not chunk:
            break
        head += chunk
    lines, found, rest = head.partition(b"\r\n\r\n")
    if not found:
        await _failed(send)
        return
    status, headers = 200, []
    for line in lines.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        else:
            headers.append((name.lower(), value.strip()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while True:
        chunk = await stdout.read(_CHUNK)
        if not chunk:
            break
        if rest:
            await send({"type": "http.response.body", "body": rest, "more_body": True})
        rest = chunk
    if ended:
        await ended()
    await send({"type": "http.response.body", "body": rest})


async def _failed(send: Send) -> None:
    body = b"git did not answer; `azsandbox logs` says how it ended.\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
