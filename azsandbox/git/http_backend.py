"""Git's own HTTP server program, git-http-backend, behind ASGI: both ways streamed, no shell.

The program is started with a path that was checked against the table of repositories, never with what a client sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from azsandbox import programs
from azsandbox.dispatch import Receive, Scope, Send, header
from azsandbox.git.program import environment
from azsandbox.git.push import Report
from azsandbox.programs import Process

log = logging.getLogger("azsandbox.git")

_CHUNK = 65536
_HEAD_LIMIT = 65536


class TooLarge(Exception):
    """A request's body is larger than is allowed."""


async def body_of(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The chunks of a request's body, at most `limit` bytes in all.

    Raises ConnectionError when the client goes away, TooLarge when it sends more.
    """
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the request is larger than {limit} bytes")
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
    plain: bool = False,
    configuration: dict[str, str] | None = None,
    variables: dict[str, str] | None = None,
    report: Report | None = None,
    ended: Callable[[], None] | None = None,
) -> None:
    """Serves one request of git's smart protocol.

    `path` is below `root`, as `/contoso/gitops.git/info/refs`; `user` is who signed in, "" for nobody; `plain` says
    that `body` is decompressed already and has not the length that the client named. `configuration` holds git
    settings and `variables` are given to git's hooks, for this request alone. `report` reads and completes the answer
    to a push; `ended` is called when git is done, before the answer ends.
    """
    cgi = {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "REQUEST_METHOD": scope["method"],
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "REMOTE_ADDR": "127.0.0.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    given = [("CONTENT_TYPE", b"content-type"), ("GIT_PROTOCOL", b"git-protocol")]
    if not plain:
        given += [("CONTENT_LENGTH", b"content-length"), ("HTTP_CONTENT_ENCODING", b"content-encoding")]
    for variable, name in given:
        if value := header(scope, name):
            cgi[variable] = value
    if user:
        cgi["REMOTE_USER"] = user
    given_to_git = environment(configuration) | cgi | (variables or {})
    process = await programs.start("git", "http-backend", env=given_to_git, takes_input=True)
    feeding = asyncio.create_task(_feed(process, body))
    complaints = asyncio.create_task(_complaints(process, path))
    try:
        await _answer(process, send, report, ended)
    except BaseException:  # what git still writes nobody reads, so it may never come to its end by itself
        process.terminate()
        complaints.cancel()
        raise
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, complaints, return_exceptions=True)
        await process.wait()


async def _feed(process: Process, body: AsyncIterator[bytes]) -> None:
    """Hands the body to git, as fast as git takes it."""
    stdin = process.stdin
    assert stdin is not None
    try:
        async for chunk in body:
            stdin.write(chunk)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # git has read what it wants
    except (ConnectionError, ValueError, TooLarge) as error:
        log.info("a request was cut: %s", error)
        process.terminate()
    finally:
        stdin.close()


async def _complaints(process: Process, path: str) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        log.info("%s: %s", path, line.decode("utf-8", "replace").rstrip())


async def _answer(process: Process, send: Send, report: Report | None, ended: Callable[[], None] | None) -> None:
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
    if status != 200:
        report = None
    await send({"type": "http.response.start", "status": status, "headers": headers})
    chunk = rest or await stdout.read(_CHUNK)
    while chunk:
        out = chunk if report is None else report.feed(chunk)
        if out:
            await send({"type": "http.response.body", "body": out, "more_body": True})
        chunk = await stdout.read(_CHUNK)
    last = b"" if report is None else report.end()
    if ended is not None:
        ended()
    await send({"type": "http.response.body", "body": last})


async def _failed(send: Send) -> None:
    body = b"git did not answer; `azsandbox logs` says how it ended.\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
