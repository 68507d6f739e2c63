"""Mode B: the HTTP proxy through which unchanged clients reach the sandbox by Azure's own host names.

`CONNECT` to a host that the sandbox owns ends here in TLS with a certificate of the installation's authority;
to a cluster's host name, or a port of the sandbox on loopback, it is passed through. Plain-http requests (169.254.169.254, the managed
identity endpoint) are answered on the same port. Everything else is refused, unless tunnelling was asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from azsandbox.certificates import Authority
from azsandbox.dispatch import LOOPBACK, Dispatch, host_name

log = logging.getLogger("azsandbox.proxy")

_HEAD_LIMIT = 65536
_CONNECT_SECONDS = 10.0


@dataclass
class Proxy:
    """What a proxy connection needs to know: who owns which host, and who speaks HTTP."""

    dispatch: Dispatch
    authority: Authority
    http: Callable[[], asyncio.Protocol]  # a new HTTP server connection
    ports: Callable[[], set[int]]  # the sandbox's own ports on loopback
    api_server: Callable[[str], int | None]  # a cluster's port by its host name; 0: none runs, None: not a cluster's
    tunnel: bool = False

    def connection(self) -> ProxyConnection:
        """A protocol for one client that has connected."""
        return ProxyConnection(self)

    def refusal(self, host: str, port: int) -> str:
        """Why a target is not reached, or "" if it may be tunnelled to."""
        if self.tunnel:
            return ""
        if host in LOOPBACK:
            if port in self.ports():
                return ""
            return (
                f"The sandbox's proxy passes loopback requests on to its own ports only; {port} is not one of them. "
                "Add the host to NO_PROXY to reach another program on this machine."
            )
        return self.dispatch.explain(host)


class ProxyConnection(asyncio.Protocol):
    """Reads a client's first request and hands the connection to whoever serves it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        if self.transport is None or self.task is not None:
            return
        self.buffer += data
        if b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > _HEAD_LIMIT:
                self._answer("431 Request Header Fields Too Large", "The request head is larger than 64 KiB.")
            return
        line = self.buffer.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(line) != 3:
            self._answer("400 Bad Request", "This is not an HTTP/1.1 request line.")
        elif line[0].upper() == "CONNECT":
            self._connect(line[1])
        else:
            self._plain(line[1])

    # --- CONNECT

    def _connect(self, authority: str) -> None:
        host = host_name(authority)
        port_text = authority.rpartition(":")[2]
        port = int(port_text) if port_text.isdigit() else 443
        if host not in LOOPBACK and self.proxy.dispatch.owner(host) is not None:
            self._begin(self._terminate(host))
            return
        api_server = self.proxy.api_server(host)
        if api_server:  # its TLS is its own: it has its own authority, and asks for client certificates
            self._begin(self._tunnel("127.0.0.1", api_server))
            return
        if api_server == 0:
            self._answer("503 Service Unavailable", f"No running cluster of the sandbox answers at {host}.")
            return
        refusal = self.proxy.refusal(host, port)
        if refusal:
            log.warning("refused CONNECT %s:%s", host, port)
            self._answer("403 Forbidden", refusal)
        else:
            self._begin(self._tunnel(host, port))

    async def _terminate(self, host: str) -> None:
        transport = self.transport
        if transport is None:
            return
        context = self.proxy.authority.context(host)
        server, early = self.proxy.http(), Early()
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            secure = await asyncio.get_running_loop().start_tls(transport, early, context, server_side=True)
        except (OSError, EOFError) as error:
            log.warning(
                "TLS with a client for %s failed (%s): does it trust the sandbox's authority (REQUESTS_CA_BUNDLE, "
                "SSL_CERT_FILE)?",
                host,
                error or type(error).__name__,
            )
            transport.abort()
            return
        if secure is None:
            return
        secure.set_protocol(server)
        server.connection_made(secure)  # start_tls leaves this to its caller
        if early.data:
            server.data_received(early.data)
        if early.lost:
            server.connection_lost(early.error)

    async def _tunnel(self, host: str, port: int, first: bytes = b"") -> None:
        transport = self.transport
        if transport is None:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, there = await loop.create_connection(lambda: Splice(transport), host, port)
        except (OSError, TimeoutError) as error:
            self._answer("502 Bad Gateway", f"{host}:{port} cannot be reached: {error or type(error).__name__}")
            return
        here = Splice(there.transport)
        there.twin, here.twin = here, there
        transport.set_protocol(here)
        if first:
            there.write(first)
        else:
            transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        transport.resume_reading()

    # --- plain requests

    def _plain(self, target: str) -> None:
        transport = self.transport
        assert transport is not None
        if target.startswith("http://"):
            parts = urlsplit(target)
            host = (parts.hostname or "").lower()
            try:
                port = parts.port or 80
            except ValueError:
                self._answer("400 Bad Request", f"The port of {target!r} is not a number.")
                return
            own = host in LOOPBACK and port in self.proxy.ports()
            if host in LOOPBACK or self.proxy.dispatch.owner(host) is None:
                refusal = self.proxy.refusal(host, port)
                if refusal:
                    log.warning("refused http://%s:%s", host, port)
                    self._answer("403 Forbidden", refusal)
                    return
                if not own or port != transport.get_extra_info("sockname")[1]:
                    self._begin(self._tunnel(host, port, self._origin_form(target)))
                    return
        elif not target.startswith("/"):
            self._answer("400 Bad Request", f"{target!r} is neither a path nor an http:// address.")
            return
        server = self.proxy.http()
        transport.set_protocol(server)
        server.connection_made(transport)
        server.data_received(self.buffer)

    def _origin_form(self, target: str) -> bytes:
        """The request as the origin wants it: path only, and one request a connection, as the next may be for another."""
        head, _, body = self.buffer.partition(b"\r\n\r\n")
        line, *headers = head.split(b"\r\n")
        parts = urlsplit(target)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        method, _, version = line.split(b" ", 2)
        kept = [h for h in headers if not h.lower().startswith((b"proxy-", b"connection:"))]
        return b"\r\n".join(
            [b" ".join([method, path.encode("latin-1"), version]), *kept, b"Connection: close", b"", body]
        )

    # --- both

    def _begin(self, work: object) -> None:
        """Starts `work` with reading paused: what the client sends next belongs to the protocol that follows."""
        assert self.transport is not None
        self.transport.pause_reading()
        self.task = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]

    def _answer(self, status: str, text: str) -> None:
        if self.transport is None:
            return
        body = (text + "\n").encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Early(asyncio.Protocol):
    """Keeps what a client sends right behind its last word of the handshake, until the server has the connection."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = False
        self.error: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost, self.error = True, exc


class Splice(asyncio.Protocol):
    """One side of a tunnel: what it reads goes to the other side, which slows it down when it cannot keep up."""

    def __init__(self, other: asyncio.Transport) -> None:
        self.other = other
        self.transport: asyncio.Transport = other
        self.twin: Splice | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def write(self, data: bytes) -> None:
        """Sends to the side that this protocol reads from."""
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.twin is not None and self.twin.ended:
            return False  # both have said all: close
        if self.other.can_write_eof() and not self.other.is_closing():
            self.other.write_eof()
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.other.is_closing():
            self.other.close()

    def pause_writing(self) -> None:
        if not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.is_closing():
            self.other.resume_reading()
