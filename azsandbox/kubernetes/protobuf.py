"""Bodies in Kubernetes' protocol buffers, read into JSON. kubectl posts them for every `create KIND`.

The envelope is `k8s\\0` and a runtime.Unknown; field numbers come with the types (data/kubernetes/…/types.json).
Only requests come this way: every client that sends protocol buffers takes JSON in return.
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Iterator
from typing import Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema.definitions import Definitions, Field, Type, definitions

MAGIC = b"k8s\0"


def decode(body: bytes, minor: str = "1.35") -> Object:
    """The object in a protobuf body. Raises 400 when it is none, or of a type that is not known."""
    if not body.startswith(MAGIC):
        raise errors.bad_request(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        meta = {number: bytes(value).decode() for number, value in _fields(envelope.get(1, b""))}
        api_version, kind = meta.get(1, ""), meta.get(2, "")
        group, _, version = api_version.rpartition("/")
        known = definitions(minor)
        type_ = known.type_of(GroupVersionKind(group, version, kind))
        if type_ is None:
            raise errors.bad_request(f'no kind "{kind}" is registered for version "{api_version}"')
        obj = _Reader(known).message(envelope.get(2, b""), type_)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise errors.bad_request(f"proto: {error}") from None
    return {"kind": kind, "apiVersion": api_version, **obj}


def _varint(data: bytes, index: int) -> tuple[int, int]:
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


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and raw values of a message: integers for varints, bytes for the rest."""
    index = 0
    while index < len(data):
        key, index = _varint(data, index)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, index = _varint(data, index)
            yield number, value
        elif wire == 2:
            length, index = _varint(data, index)
            if index + length > len(data):
                raise ValueError("unexpected EOF")
            yield number, data[index : index + length]
            index += length
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            yield number, data[index : index + width]
            index += width
        else:
            raise ValueError(f"wrong wireType = {wire}")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


class _Reader:
    def __init__(self, known: Definitions) -> None:
        self.known = known

    def message(self, data: bytes, type_: Type) -> Object:
        """A message as the JSON of its type; what Go would leave out is left out."""
        own = {f.number: f for f in type_.fields if not f.inlined and f.number}
        inlined = {f.number: f for f in type_.fields if f.inlined and f.name not in ("kind", "apiVersion")}
        out: Object = {}
        for number, raw in _fields(data):
            field = own.get(number)
            if field is not None:
                self._set(out, field, raw)
            elif isinstance(raw, bytes):
                self._inlined(out, raw, inlined)
        return {name: value for name, value in out.items() if value is not None}

    def _inlined(self, out: Object, data: bytes, inlined: dict[int, Field]) -> None:
        """A struct that Go embeds is a message of its own, whose fields belong to the object around it."""
        for number, raw in _fields(data):
            field = inlined.get(number)
            if field is not None:
                self._set(out, field, raw)
            elif isinstance(raw, bytes):
                self._inlined(out, raw, inlined)

    def _set(self, out: Object, field: Field, raw: Any) -> None:
        kind = field.type.kind
        if kind == "list":
            out.setdefault(field.name, []).append(self.value(raw, field.type.element))
        elif kind == "map":
            key, value = self._entry(raw, field.type.element)
            out.setdefault(field.name, {})[key] = value
        else:
            value = self.value(raw, field.type)
            empty = value in ("", 0, False, None) or value == {}
            if empty and field.omit_empty and not field.pointer:
                return
            out[field.name] = value

    def _entry(self, raw: bytes, element: Type | None) -> tuple[str, Any]:
        parts = dict(_fields(raw))
        key = bytes(parts.get(1, b"")).decode()
        if element is not None and element.kind == "list":  # e.g. ExtraValue: a message that holds a list
            return key, [
                self.value(item, element.element) for number, item in _fields(parts.get(2, b"")) if number == 1
            ]
        return key, self.value(parts.get(2, b""), element)

    def value(self, raw: Any, type_: Type | None) -> Any:
        kind = type_.kind if type_ is not None else "string"
        assert type_ is not None or kind == "string"
        if kind == "object":
            assert type_ is not None
            return self.message(raw, type_)
        reader = _SCALARS.get(kind)
        if reader is None:
            raise ValueError(f"a field of kind {kind} has no form in protocol buffers")
        return reader(raw)


def _text(raw: Any) -> str:
    return bytes(raw).decode() if isinstance(raw, bytes) else str(raw)


def _integer(raw: Any) -> int:
    return _signed(raw) if isinstance(raw, int) else int.from_bytes(raw, "little", signed=True)


def _number(raw: Any) -> float:
    return float(struct.unpack("<d", raw)[0]) if isinstance(raw, bytes) and len(raw) == 8 else float(raw)


def _time(raw: bytes) -> str | None:
    parts = dict(_fields(raw))
    if not parts:
        return None
    then = dt.datetime.fromtimestamp(_signed(parts.get(1, 0)), dt.UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(raw: bytes) -> str | None:
    parts = dict(_fields(raw))
    if not parts:
        return None
    then = dt.datetime.fromtimestamp(_signed(parts.get(1, 0)), dt.UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%S") + f".{parts.get(2, 0) // 1000:06d}Z"


def _quantity(raw: bytes) -> str:
    return bytes(dict(_fields(raw)).get(1, b"")).decode() or "0"


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    return bytes(parts.get(3, b"")).decode() if parts.get(1) else _signed(parts.get(2, 0))


def _raw(raw: bytes) -> Any:
    import orjson

    inner = dict(_fields(raw)).get(1, b"")
    return orjson.loads(inner) if inner else None


_SCALARS: dict[str, Any] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": bool,
    "bytes": lambda raw: base64.b64encode(raw).decode(),
    "time": _time,
    "micro-time": _micro_time,
    "quantity": _quantity,
    "int-or-string": _int_or_string,
    "any": _raw,
    "raw": _raw,
}
