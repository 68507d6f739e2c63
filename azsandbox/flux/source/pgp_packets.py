"""The outer form of OpenPGP (RFC 9580): armor, packets and numbers, in the words of ProtonMail/go-crypto."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator


class UnreadableError(Exception):
    """Data that is no OpenPGP."""


def invalid(text: str) -> UnreadableError:
    return UnreadableError(f"openpgp: invalid data: {text}")


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise UnreadableError("unexpected EOF")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def mpi(self) -> int:
        return int.from_bytes(self.take((self.number(2) + 7) // 8))

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def __bool__(self) -> bool:
        return self.at < len(self.data)


def unarmored(text: str) -> tuple[str, bytes]:
    """The type of the first block of a text, and its data."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.strip().startswith("-----BEGIN ") and line.strip().endswith("-----"):
            kind = line.strip()[len("-----BEGIN ") : -len("-----")]
            break
    else:
        raise UnreadableError("openpgp: invalid argument: no armored data found")
    for line in lines:
        if not line.strip():
            break
    encoded = ""
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("-----END ") or (len(stripped) == 5 and stripped[0] == "="):
            break
        encoded += stripped
    try:
        return kind, base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise invalid("armor invalid") from error


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and bodies of packets."""
    reader = Reader(data)
    while reader:
        first = reader.number(1)
        if not first & 0x80:
            raise invalid("tag byte does not have MSB set")
        if first & 0x40:
            tag, size = first & 0x3F, length(reader)
        else:
            tag, kind = (first & 0x3F) >> 2, first & 3
            size = reader.number(1 << kind) if kind < 3 else len(data) - reader.at
        yield tag, reader.take(size)


def length(reader: Reader) -> int:
    first = reader.number(1)
    if first < 192:
        return first
    return ((first - 192) << 8) + reader.number(1) + 192 if first < 255 else reader.number(4)
