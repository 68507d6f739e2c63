"""A connection of HTTP/1.1, which takes a head of bounded size: uvicorn's own keeps whatever a client sends."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 1 << 20  # bytes (Go, net/http, DefaultMaxHeaderBytes: what an API server takes)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpConnection(HttpToolsProtocol):
    """Cuts off a client whose head, or what stands between the parts of a body, does not end."""

    _pending = 0  # bytes since something of a request was understood

    def data_received(self, data: bytes) -> None:
        self._pending += len(data)
        super().data_received(data)
        if self._pending > LARGEST_HEAD and not self.transport.is_closing():
            self.logger.warning("A request's head is larger than %s bytes.", LARGEST_HEAD)
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._pending = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._pending = 0
        super().on_message_complete()
