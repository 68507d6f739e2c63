"""Bodies in Kubernetes' protocol buffers, read into JSON."""

from __future__ import annotations

import base64
import datetime as dt
import struct
from typing import Any

import orjson

from azsandbox.kubernetes.protobuf.layout import Layout, layout, schema_union
from azsandbox.kubernetes.protobuf.wire import MAGIC, fields, signed
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema.definitions import ANY, LIST, MAP, OBJECT, Definitions, Field, Type, definitions


class BadMessage(ValueError):
    """A body that is no message, in the words of the API server. `kind` is what it says to be, where it says so."""

    def __init__(self, text: str, kind: GroupVersionKind | None = None) -> None:
        super().__init__(text)
        self.kind = kind


def decode(body: bytes, minor: str = "1.35") -> Object:
    """The object in a protobuf body. Raises BadMessage when it is none, or of a type that is not known."""
    if not body:
        raise BadMessage("empty data")
    if not body.startswith(MAGIC):
        raise BadMessage("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    if body == MAGIC:
        raise BadMessage("empty body")
    try:
        envelope = dict(fields(body[len(MAGIC) :]))
        meta = {number: _text(value) for number, value in fields(_message(envelope.get(1, b"")))}
    except _BROKEN:
        raise BadMessage("unexpected EOF") from None
    api_version, kind = meta.get(1, ""), meta.get(2, "")
    group, _, version = api_version.rpartition("/")
    gvk = GroupVersionKind(group, version, kind)
    known = definitions(minor)
    type_ = known.type_of(gvk)
    if type_ is None:
        text = f'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'
        raise BadMessage(text, gvk)
    try:
        obj = _Reader(known).message(_message(envelope.get(2, b"")), layout(type_))
    except _BROKEN:
        raise BadMessage("unexpected EOF", gvk) from None
    return {"kind": kind, "apiVersion": api_version, **obj}


_BROKEN = (ValueError, IndexError, struct.error, OverflowError, OSError, RecursionError)


class _Reader:
    def __init__(self, known: Definitions) -> None:
        self.known = known

    def message(self, data: bytes, lies: Layout) -> Object:
        """A message as the JSON of its type; what Go would leave out is left out."""
        out: Object = {}
        self._into(out, data, lies)
        return {name: value for name, value in out.items() if value is not None}

    def _into(self, out: Object, data: bytes, lies: Layout) -> None:
        for number, raw in fields(data):
            item = lies.get(number)
            if isinstance(item, dict):
                self._into(out, _message(raw), item)
            elif item is not None:
                self._set(out, item, raw)

    def _set(self, out: Object, field: Field, raw: Any) -> None:
        if field.type.kind == LIST:
            out.setdefault(field.name, []).append(self.value(raw, field.type.element))
        elif field.type.kind == MAP:
            key, value = self._entry(_message(raw), field.type.element)
            out.setdefault(field.name, {})[key] = value
        else:
            value = self.value(raw, field.type)
            empty = value in ("", 0, False, None) or value == {}
            if empty and field.omit_empty and not field.pointer:
                return
            out[field.name] = value

    def _entry(self, raw: bytes, element: Type | None) -> tuple[str, Any]:
        parts = dict(fields(raw))
        key, value = _text(parts.get(1, b"")), parts.get(2, b"")
        if element is not None and element.kind == LIST:  # e.g. ExtraValue: a message that holds a list
            items = [item for number, item in fields(_message(value)) if number == 1]
            return key, [self.value(item, element.element) for item in items]
        return key, self.value(value, element)

    def value(self, raw: Any, type_: Type | None) -> Any:
        """A value of a type; without a type it is text."""
        if type_ is None:
            return _text(raw)
        if type_.kind == OBJECT:
            return self.message(_message(raw), layout(type_))
        union = schema_union(type_.go, self.known) if type_.kind == ANY else None
        if union:
            return self._union(_message(raw), union)
        reader = _SCALARS.get(type_.kind)
        if reader is None:
            raise ValueError(f"a field of kind {type_.kind} has no form in protocol buffers")
        return reader(raw)

    def _union(self, raw: bytes, union: dict[int, tuple[str, Type | None]]) -> Any:
        found: dict[str, Any] = {}
        for number, value in fields(raw):
            what, type_ = union.get(number, ("", None))
            if what in ("schemas", "strings"):
                found.setdefault(what, []).append(self.value(value, type_))
            elif what == "bool":
                found[what] = bool(value)
            elif what == "schema":
                found[what] = self.value(value, type_)
        return next((found[what] for what in ("schema", "schemas", "strings", "bool") if what in found), None)


def _message(raw: Any) -> bytes:
    if not isinstance(raw, bytes):
        raise ValueError("wrong wireType = 0")
    return raw


def _text(raw: Any) -> str:
    return _message(raw).decode()


def _integer(raw: Any) -> int:
    return signed(raw) if isinstance(raw, int) else int.from_bytes(raw, "little", signed=True)


def _number(raw: Any) -> float:
    return float(struct.unpack("<d", raw)[0]) if isinstance(raw, bytes) else float(raw)


def _moment(raw: Any) -> tuple[str, int]:
    """A Timestamp in seconds as text, and its nanoseconds; ("", 0) where it is not set."""
    parts = dict(fields(_message(raw)))
    if not parts:
        return "", 0
    then = dt.datetime.fromtimestamp(signed(parts.get(1, 0)), dt.UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%S"), int(parts.get(2, 0))


def _time(raw: Any) -> str | None:
    text, _ = _moment(raw)
    return f"{text}Z" if text else None


def _micro_time(raw: Any) -> str | None:
    text, nanos = _moment(raw)
    return f"{text}.{nanos // 1000:06d}Z" if text else None


def _quantity(raw: Any) -> str:
    return _text(dict(fields(_message(raw))).get(1, b"")) or "0"


def _int_or_string(raw: Any) -> int | str:
    parts = dict(fields(_message(raw)))
    return _text(parts.get(3, b"")) if parts.get(1) else _integer(parts.get(2, 0))


def _raw(raw: Any) -> Any:
    inner = dict(fields(_message(raw))).get(1, b"")
    return orjson.loads(inner) if inner else None


_SCALARS: dict[str, Any] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": bool,
    "bytes": lambda raw: base64.b64encode(_message(raw)).decode(),
    "time": _time,
    "micro-time": _micro_time,
    "quantity": _quantity,
    "int-or-string": _int_or_string,
    "any": _raw,
    "raw": _raw,
}
