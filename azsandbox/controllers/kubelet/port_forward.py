"""Port forwarding over a WebSocket, to programs that the sandbox acts for.

kubectl tunnels SPDY through the WebSocket, two streams a connection: one for what fails, one for data (client-go,
tools/portforward). Older clients have a pair of channels a port for one connection (v4.channel.k8s.io).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from azsandbox.controllers import program_stream
from azsandbox.controllers.client import Object
from azsandbox.controllers.ports import Program
from azsandbox.kubernetes import errors
from azsandbox.kubernetes.listener import Socket
from azsandbox.kubernetes.request import Request
from azsandbox.kubernetes.spdy import Data, GoneAway, Opened, Ping, Reset, Spdy, SpdyError
from azsandbox.tasks import end

log = logging.getLogger(__name__)

TUNNEL, CHANNELS = "SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"
MOST_STREAMS = 1000  # of one client at a time

Find = Callable[[int], Program | None]  # what listens on a port


async def answer(pod: Object, request: Request, find: Find) -> None:
    """Forwards ports of a pod until the client goes. Raises 400 for a client that offers no protocol of ours."""
    socket: Socket = request.socket
    if TUNNEL in socket.protocols:
        await socket.accept(TUNNEL)
        await _Tunnel(pod, socket, find).run()
        return
    if CHANNELS not in socket.protocols:
        offered = ", ".join(socket.protocols) or "none"
        raise errors.bad_request(f"ports are forwarded by {TUNNEL} and {CHANNELS}; offered was: {offered}")
    ports = request.query.get("ports", [])
    if not ports or not all(port.isdigit() and 0 < int(port) < 65536 for port in ports):
        raise errors.bad_request('query parameter "ports" is required')
    await socket.accept(CHANNELS)
    await _Channels(pod, socket, find, [int(port) for port in ports]).run()


def _refusal(pod: Object, port: int) -> str:
    """What is said of a port that nothing listens on, as kubelets say it."""
    metadata = pod["metadata"]
    return (
        f"error forwarding port {port} to pod {metadata['namespace']}/{metadata['name']}, uid {metadata['uid']}: "
        f"failed to connect to localhost:{port} inside namespace of the pod: dial tcp4 127.0.0.1:{port}: connect: "
        "connection refused"
    )


@dataclass
class _Incoming:
    """Bytes that come on a stream, b"" once they end."""

    queue: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    ended: bool = False

    def put(self, data: bytes, *, last: bool = False) -> None:
        if data:
            self.queue.put_nowait(data)
        if last:
            self.queue.put_nowait(b"")

    async def read(self) -> bytes:
        if self.ended:
            return b""
        data = await self.queue.get()
        self.ended = not data
        return data


class _Tunnel:
    """SPDY in a WebSocket."""

    def __init__(self, pod: Object, socket: Socket, find: Find) -> None:
        self.pod, self.socket, self.find = pod, socket, find
        self.spdy = Spdy()
        self.errors: dict[str, int] = {}  # streams by the ids of requests, until their data streams come
        self.incoming: dict[int, _Incoming] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            while (data := await self.socket.receive()) is not None:
                for frame in self.spdy.receive(data):
                    if isinstance(frame, GoneAway):
                        return
                    await self._take(frame)
        except SpdyError as error:
            log.info("port forwarding to %s ends: %s", self.pod["metadata"]["name"], error)
        finally:
            await end(self.tasks.values())

    async def _take(self, frame: Opened | Data | Reset | Ping) -> None:
        if isinstance(frame, Ping):
            await self.socket.send(frame.answer)
        elif isinstance(frame, Data):
            if frame.stream in self.incoming:
                self.incoming[frame.stream].put(frame.data, last=frame.last)
        elif isinstance(frame, Reset):
            task = self.tasks.get(frame.stream)
            if task is not None:
                task.cancel()
        else:
            await self._open(frame)

    async def _open(self, frame: Opened) -> None:
        if len(self.tasks) >= MOST_STREAMS:
            raise SpdyError(f"more than {MOST_STREAMS} streams")
        await self.socket.send(self.spdy.reply(frame.stream))
        request = frame.headers.get("requestid", "")
        if frame.headers.get("streamtype") == "error":
            self.errors[request] = frame.stream
            return
        failing, port = self.errors.pop(request, 0), frame.headers.get("port", "")
        self.incoming[frame.stream] = _Incoming()
        task = asyncio.create_task(self._forward(frame.stream, failing, int(port) if port.isdigit() else 0))
        self.tasks[frame.stream] = task
        task.add_done_callback(lambda _: self.tasks.pop(frame.stream, None))

    async def _forward(self, stream: int, failing: int, port: int) -> None:
        """One connection to a port."""
        said = b""
        try:
            program = self.find(port)
            if program is None:
                said = _refusal(self.pod, port).encode()
            else:

                async def write(data: bytes) -> None:
                    await self.socket.send(self.spdy.data(stream, data))

                await program_stream.serve(program, self.incoming[stream].read, write)
        finally:
            self.incoming.pop(stream, None)
            last = self.spdy.data(stream, b"", last=True)
            await self.socket.send(last + (self.spdy.data(failing, said, last=True) if failing else b""))


class _Channels:
    """A pair of channels a port, for data and for what fails, each of which begins with the port."""

    def __init__(self, pod: Object, socket: Socket, find: Find, ports: list[int]) -> None:
        self.pod, self.socket, self.find, self.ports = pod, socket, find, ports

    async def run(self) -> None:
        incoming = [_Incoming() for _ in self.ports]
        for number, port in enumerate(self.ports):
            for channel in (2 * number, 2 * number + 1):
                await self.socket.send(bytes([channel]) + port.to_bytes(2, "little"))
        tasks = [asyncio.create_task(self._forward(n, incoming[n])) for n in range(len(self.ports))]
        leaving = asyncio.create_task(self._receive(incoming))
        try:
            serving = asyncio.gather(*tasks)
            await asyncio.wait((leaving, serving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end([leaving, *tasks])

    async def _receive(self, incoming: list[_Incoming]) -> None:
        while (data := await self.socket.receive()) is not None:
            if data and data[0] % 2 == 0 and data[0] // 2 < len(incoming):
                incoming[data[0] // 2].put(data[1:])

    async def _forward(self, number: int, incoming: _Incoming) -> None:
        program = self.find(self.ports[number])
        if program is None:
            await self.socket.send(bytes([2 * number + 1]) + _refusal(self.pod, self.ports[number]).encode())
            return

        async def write(data: bytes) -> None:
            await self.socket.send(bytes([2 * number]) + data)

        await program_stream.serve(program, incoming.read, write)
