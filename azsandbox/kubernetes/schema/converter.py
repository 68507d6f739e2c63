"""What Go's converter from unstructured values says and does, where it is not what the JSON decoder would.

Strategic merge patches and applied configurations are parsed before they become objects. Source: k8s.io/apimachinery,
pkg/runtime/converter.go (fromUnstructured).
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema import json_text
from azsandbox.kubernetes.schema.definitions import Type

_CONTAINERS = {
    d.OBJECT: "cannot restore struct from: ",
    d.MAP: "cannot restore map from ",
    d.LIST: "cannot restore slice from ",
    d.BYTES: "cannot restore slice from ",
}
_OWN_READERS = {d.TIME: "string", d.MICRO_TIME: "string", d.INT_OR_STRING: "int32"}  # types that read JSON themselves


def mismatch(type_: Type, value: Any) -> str:
    """Why a value is none of a type."""
    kind, found = type_.kind, _kind(value)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind] + found
    if kind in _OWN_READERS:
        return f"json: cannot unmarshal {_json_kind(value)} into Go value of type {_OWN_READERS[kind]}"
    converts = (kind == d.STRING and found == "int64") or (kind == d.INTEGER and found == "float64")
    if converts:
        return f"cannot convert {found} to {type_.go}"
    return f"unrecognized type: {_basic(type_)}"


def whole(value: float, bits: int) -> Any:
    """A number for an integer of some bits: fractions of zero go, and what is too large wraps around."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        return value
    number = int(value) & ((1 << bits) - 1)
    return number - (1 << bits) if number >> (bits - 1) else number


def _kind(value: Any) -> str:
    """The Go kind of a parsed value."""
    if isinstance(value, bool):
        return "bool"
    for python, kind in ((str, "string"), (int, "int64"), (float, "float64"), (dict, "map"), (list, "slice")):
        if isinstance(value, python):
            return kind
    return "invalid"


def _json_kind(value: Any) -> str:
    if isinstance(value, float):
        return f"number {getattr(value, 'text', repr(value))}"
    return json_text.go_kind(value)


def _basic(type_: Type) -> str:
    """The basic kind under a scalar type."""
    if type_.kind == d.INTEGER:
        return "uint8" if type_.bits == 8 else f"int{type_.bits}"
    return {d.STRING: "string", d.BOOLEAN: "bool", d.NUMBER: "float64"}.get(type_.kind, type_.go)
