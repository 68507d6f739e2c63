"""HTTP/1.1 on a stream of bytes, for a program of a container that the sandbox acts for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import h11

from azsandbox.controllers.ports import Program
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest

log = logging.getLogger(__name__)

LARGEST = 32 * 1024 * 1024  # bytes of a body

Read = Callable[[], Awaitable[bytes]]  # b"" at the end
Write = Callable[[bytes], Awaitable[None]]


async def serve(program: Program, read: Read, write: Write) -> None:
    """Answers the requests of one connection until the client ends it."""
    connection = h11.Connection(h11.SERVER)
    try:
        while True:
            request = await _request(connection, read, write)
            if request is None:
                return
            await _answer(connection, await program(request), request.method, write)
            if {connection.our_state, connection.their_state} != {h11.DONE}:
                return
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = error.error_status_hint
            await _answer(connection, HttpAnswer(status, f"{status} {error}\n".encode()), "GET", write)


async def _request(connection: h11.Connection, read: Read, write: Write) -> HttpRequest | None:
    """The next request; None when the client has gone. Raises h11.RemoteProtocolError."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(await read())
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST:
                raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
            return HttpRequest(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            return None


async def _answer(connection: h11.Connection, answer: HttpAnswer, method: str, write: Write) -> None:
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() != "content-length"]
    headers.append(("content-length", str(len(answer.body))))
    sent = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    if method != "HEAD":
        sent += connection.send(h11.Data(data=answer.body)) or b""
    await write(sent + (connection.send(h11.EndOfMessage()) or b""))
