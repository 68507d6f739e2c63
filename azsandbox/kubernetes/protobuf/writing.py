"""JSON written in Kubernetes' protocol buffers, as the generated Go code writes it.

A field that is no pointer is written even where it is not set, fields go by their number, maps by their keys.
Source: k8s.io/api and k8s.io/apimachinery, generated.pb.go; pkg/runtime/serializer/protobuf.
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from azsandbox.kubernetes.protobuf.layout import Layout, layout, schema_union
from azsandbox.kubernetes.protobuf.wire import BYTES, FIXED64, MAGIC, VARINT, field, key, varint
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema.definitions import Definitions, Field, Type


def encode(known: Definitions, obj: Object) -> bytes | None:
    """A built-in object as a body; None for a kind that has no form in protocol buffers."""
    if obj.get("kind") in _PARTIAL and str(obj.get("apiVersion")).startswith("meta.k8s.io/"):
        return _partial(known, obj)
    type_ = known.type_of(GroupVersionKind.of(obj))
    if type_ is None:
        return None
    return _envelope(obj["apiVersion"], obj["kind"], _Writer(known).message(obj, layout(type_)))


def encode_list(known: Definitions, api_version: str, kind: str, metadata: Object, items: Iterable[bytes]) -> bytes:
    """A list as a body; `items` are objects as `message` makes them."""
    head = field(1, _Writer(known).message(metadata, layout(known.named(_LIST_META))))
    return _envelope(api_version, kind, head + b"".join(field(2, item) for item in items))


def message(known: Definitions, obj: Object, gvk: GroupVersionKind) -> bytes | None:
    """An object without an envelope, as an item of a list."""
    type_ = known.type_of(gvk)
    return None if type_ is None else _Writer(known).message(obj, layout(type_))


def frame(kind: str, obj: bytes) -> bytes:
    """An event of a watch: its length in four bytes, and a WatchEvent that holds an object as `encode` makes it."""
    event = field(1, kind.encode()) + field(2, field(1, obj))
    return struct.pack(">I", len(event)) + event


_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_PARTIAL = ("PartialObjectMetadata", "PartialObjectMetadataList")


def _partial(known: Definitions, obj: Object) -> bytes:
    """The metadata of an object, or of those of a list, which any kind has in protocol buffers."""
    items = [obj] if obj["kind"] == _PARTIAL[0] else obj["items"]
    writer, lies = _Writer(known), layout(known.named(_OBJECT_META))
    made = [field(1, writer.message(item["metadata"], lies)) for item in items]
    if obj["kind"] == _PARTIAL[0]:
        return _envelope(obj["apiVersion"], obj["kind"], made[0])
    return encode_list(known, obj["apiVersion"], obj["kind"], obj["metadata"], made)


def _envelope(api_version: str, kind: str, content: bytes) -> bytes:
    """A runtime.Unknown: the type, the object, and no content type of its own."""
    head = field(1, api_version.encode()) + field(2, kind.encode())
    return MAGIC + field(1, head) + field(2, content) + field(3, b"") + field(4, b"")


class _Writer:
    def __init__(self, known: Definitions) -> None:
        self.known = known

    def message(self, obj: Object, lies: Layout) -> bytes:
        out = bytearray()
        for number, item in lies.items():
            if isinstance(item, dict):
                out += field(number, self.message(obj, item))
            else:
                self._field(out, number, item, obj.get(item.name))
        return bytes(out)

    def _field(self, out: bytearray, number: int, item: Field, value: Any) -> None:
        type_ = item.type
        if value is None:
            if item.pointer or type_.kind in (d.LIST, d.MAP, d.BYTES, d.ANY):
                return
            out += self._value(number, type_, _UNSET.get(type_.kind))
        elif type_.kind == d.LIST:
            assert type_.element is not None
            for each in value:
                out += self._value(number, type_.element, each)
        elif type_.kind == d.MAP:
            assert type_.element is not None
            for name in sorted(value):
                out += field(number, field(1, name.encode()) + self._entry(type_.element, value[name]))
        else:
            out += self._value(number, type_, value)

    def _entry(self, element: Type, value: Any) -> bytes:
        if element.kind == d.LIST:  # e.g. ExtraValue: a message that holds a list
            assert element.element is not None
            return field(2, b"".join(self._value(1, element.element, each) for each in value or []))
        return self._value(2, element, _UNSET.get(element.kind) if value is None else value)

    def _value(self, number: int, type_: Type, value: Any) -> bytes:
        """A value with its key."""
        kind = type_.kind
        if kind == d.STRING:
            return field(number, value.encode())
        if kind == d.OBJECT:
            return field(number, self.message(value or {}, layout(type_)))
        if kind in (d.INTEGER, d.BOOLEAN):
            return key(number, VARINT) + varint(int(value))
        if kind == d.NUMBER:
            return key(number, FIXED64) + struct.pack("<d", value)
        union = schema_union(type_.go, self.known) if kind == d.ANY else None
        if union:
            return field(number, self._union(union, value))
        content = _CONTENTS[kind](value)
        return key(number, BYTES) + varint(len(content)) + content

    def _union(self, union: dict[int, tuple[str, Type | None]], value: Any) -> bytes:
        out = b""
        for number, (what, type_) in union.items():
            if what == "bool":  # says true beside a schema
                out += key(number, VARINT) + varint(int(value is not False))
            elif what == "schema" and isinstance(value, dict):
                assert type_ is not None
                out += self._value(number, type_, value)
            elif what in ("schemas", "strings") and isinstance(value, list):
                text = d.Type(d.STRING)
                out += b"".join(self._value(number, type_ or text, each) for each in value)
        return out


def _timestamp(value: str | None, micro: bool = False) -> bytes:
    if not value:
        return b""
    then = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    seconds = int((then.replace(microsecond=0) - _EPOCH).total_seconds())
    nanos = then.microsecond * 1000 if micro else 0
    return key(1, VARINT) + varint(seconds) + key(2, VARINT) + varint(nanos)


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _int_or_string(value: Any) -> bytes:
    text = value if isinstance(value, str) else ""
    number = 0 if isinstance(value, str) else int(value or 0)
    return (
        key(1, VARINT) + varint(int(isinstance(value, str))) + key(2, VARINT) + varint(number) + field(3, text.encode())
    )


def _json(value: Any) -> bytes:
    return b"" if value is None else field(1, orjson.dumps(value))


_UNSET: dict[str, Any] = {d.STRING: "", d.INTEGER: 0, d.BOOLEAN: False, d.NUMBER: 0.0, d.QUANTITY: "0"}
_CONTENTS: dict[str, Callable[[Any], bytes]] = {
    d.BYTES: lambda value: base64.b64decode(value or ""),
    d.TIME: _timestamp,
    d.MICRO_TIME: lambda value: _timestamp(value, micro=True),
    d.QUANTITY: lambda value: field(1, str(value).encode()),
    d.INT_OR_STRING: _int_or_string,
    d.RAW: _json,
    d.ANY: _json,
}
