"""The wire format of protocol buffers: numbers, keys and the fields of a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\0"  # what a body in Kubernetes' protocol buffers begins with
VARINT, FIXED64, BYTES = 0, 1, 2  # wire types


def read_varint(data: bytes, index: int) -> tuple[int, int]:
    """A number that begins at `index`, and the index behind it. Raises ValueError, IndexError."""
    value = shift = 0
    while True:
        byte = data[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, index
        shift += 7
        if shift > 63:
            raise ValueError("integer overflow")


def varint(value: int) -> bytes:
    """A number as it is written; a negative one as its complement of 64 bits."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def key(number: int, wire: int) -> bytes:
    """What a field begins with."""
    return varint(number << 3 | wire)


def field(number: int, content: bytes) -> bytes:
    """A field that holds bytes, text or a message."""
    return key(number, BYTES) + varint(len(content)) + content


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and raw values of a message: integers for varints, bytes for the rest. Raises ValueError, IndexError."""
    index = 0
    while index < len(data):
        tag, index = read_varint(data, index)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, index = read_varint(data, index)
            yield number, value
        elif wire == BYTES:
            length, index = read_varint(data, index)
            if index + length > len(data):
                raise ValueError("unexpected EOF")
            yield number, data[index : index + length]
            index += length
        elif wire in (FIXED64, 5):
            width = 8 if wire == FIXED64 else 4
            yield number, data[index : index + width]
            index += width
        else:
            raise ValueError(f"wrong wireType = {wire}")


def signed(value: int) -> int:
    """A number of 64 bits as one with a sign."""
    return value - (1 << 64) if value >= 1 << 63 else value
