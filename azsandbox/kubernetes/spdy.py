"""SPDY/3.1 as a server of port forwarding speaks it: frames from bytes, and bytes from frames.

Rules: SPDY Protocol, Draft 3.1; moby/spdystream, which leaves flow control out.
"""

from __future__ import annotations

import functools
import json
import struct
import zlib
from dataclasses import dataclass, field
from importlib import resources

_VERSION = 0x8003
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 0x01
_LONGEST_HEADERS = 64 * 1024  # bytes of a block once it is decompressed
_LONGEST = 1024 * 1024  # bytes of a frame
_PIECE = 32 * 1024  # bytes of data that are sent in one frame


class SpdyError(ValueError):
    """Bytes that are no frames."""


@dataclass(frozen=True)
class Opened:
    """A stream that the client has begun."""

    stream: int
    headers: dict[str, str]  # by names in lower case


@dataclass(frozen=True)
class Data:
    """Bytes of a stream; `last` if the client sends no more."""

    stream: int
    data: bytes
    last: bool


@dataclass(frozen=True)
class Reset:
    """A stream that the client has given up."""

    stream: int


@dataclass(frozen=True)
class Ping:
    """A question whether anybody is there; the answer is to be sent."""

    answer: bytes


@dataclass(frozen=True)
class GoneAway:
    """The client begins no more streams."""


Frame = Opened | Data | Reset | Ping | GoneAway


@functools.cache
def _dictionary() -> bytes:
    found = json.loads(resources.files("azsandbox").joinpath("data/kubernetes/spdy.json").read_text())
    words = [word.encode() for word in found["words"]]
    return b"".join(struct.pack(">I", len(word)) + word for word in words) + str(found["rest"]).encode()


@dataclass
class Spdy:
    """One connection: headers are compressed over all that came before."""

    _buffer: bytes = b""
    _inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zdict=_dictionary()))
    _deflate: zlib._Compress = field(default_factory=lambda: zlib.compressobj(zdict=_dictionary()))

    def receive(self, data: bytes) -> list[Frame]:
        """The frames that are whole with these bytes. Raises SpdyError."""
        self._buffer += data
        found: list[Frame] = []
        while len(self._buffer) >= 8:
            first, second = struct.unpack(">II", self._buffer[:8])
            flags, length = second >> 24, second & 0xFFFFFF
            if length > _LONGEST:
                raise SpdyError(f"a frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                break
            payload, self._buffer = self._buffer[8 : 8 + length], self._buffer[8 + length :]
            if first >> 31:
                frame = self._control(first, flags, payload)
                found += [frame] if frame else []
            else:
                found.append(Data(first, payload, bool(flags & _FIN)))
        return found

    def _control(self, first: int, flags: int, payload: bytes) -> Frame | None:
        version, kind = first >> 16, first & 0xFFFF
        if version != _VERSION:
            raise SpdyError(f"version {version & 0x7FFF} of SPDY")
        if kind in (_SYN_STREAM, _HEADERS, _SYN_REPLY):
            start = 10 if kind == _SYN_STREAM else 4
            headers = self._headers(payload[start:])  # of any kind: the next ones are compressed upon them
            return Opened(_number(payload), headers) if kind == _SYN_STREAM else None
        if kind == _RST_STREAM:
            return Reset(_number(payload))
        if kind == _PING:
            return Ping(_frame(_PING, 0, payload))
        return GoneAway() if kind == _GOAWAY else None

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, _LONGEST_HEADERS)
        except zlib.error as error:
            raise SpdyError(f"headers that cannot be decompressed: {error}") from None
        if self._inflate.unconsumed_tail:
            raise SpdyError("headers that are too long")
        parts: list[str] = []
        at = 4
        while at + 4 <= len(plain):
            length = _number(plain[at:])
            parts.append(plain[at + 4 : at + 4 + length].decode("latin-1"))
            at += 4 + length
        return {name.lower(): value for name, value in zip(parts[::2], parts[1::2], strict=False)}

    def reply(self, stream: int) -> bytes:
        """Takes a stream that the client has begun."""
        none = struct.pack(">I", 0)
        block = self._deflate.compress(none) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_SYN_REPLY, 0, struct.pack(">I", stream) + block)

    @staticmethod
    def data(stream: int, data: bytes, *, last: bool = False) -> bytes:
        """Sends bytes on a stream; `last` if no more will come."""
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] or [b""]
        return b"".join(
            struct.pack(">II", stream, (_FIN if last and number == len(pieces) else 0) << 24 | len(piece)) + piece
            for number, piece in enumerate(pieces, 1)
        )


def _number(data: bytes) -> int:
    if len(data) < 4:
        raise SpdyError("a frame that is too short")
    return int(struct.unpack(">I", data[:4])[0]) & 0x7FFFFFFF


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">HHI", _VERSION, kind, flags << 24 | len(payload)) + payload
