"""Values along the types of Go: what its decoder makes of parsed JSON, and what it says of mistakes.

The result is what Go would serialize again: fields in the order of the struct, empty ones left out, quantities
and times in their canonical form. Source: k8s.io/apimachinery, pkg/runtime/serializer/json; sigs.k8s.io/json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from azsandbox.kubernetes.quoting import quoted
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import converter, json_text, values
from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema.definitions import Field, Type


class DecodeError(ValueError):
    """A body that cannot be decoded; the message is the decoder's."""


def convert(
    type_: Type, value: Any, emptied: dict[str, Any] | None = None, *, parsed: bool = False
) -> tuple[Object, list[str]]:
    """A parsed JSON value as an object of a type, and the errors of strict decoding.

    `emptied` takes the paths of empty lists and maps, which Go keeps until it serializes the object. What is `parsed`
    when Go meets it (a strategic patch, an applied configuration) is read by its converter, which has words and numbers
    of its own. Raises DecodeError with the first error in the order of the text, as encoding/json does.
    """
    reader = _Reader()
    reader.parsed = parsed
    if emptied is not None:
        reader.emptied = emptied
    obj = reader.value(type_, value)
    if reader.error:
        raise DecodeError(reader.error)
    return obj, reader.strict


def normalize(type_: Type, value: Any) -> Object:
    """An object as Go serializes it; unknown fields are dropped. Raises DecodeError."""
    return convert(type_, value)[0]


def zero(type_: Type) -> Any:
    """What Go serializes for a value that is not set."""
    kind = type_.kind
    if kind == d.OBJECT:
        return {item.name: zero_field(item) for item in type_.always}
    return _ZERO.get(kind)


def zero_field(item: Field) -> Any:
    """What Go serializes for a field that is not set and not left out."""
    return None if item.pointer else zero(item.type)


_ZERO: dict[str, Any] = {
    d.STRING: "",
    d.BOOLEAN: False,
    d.INTEGER: 0,
    d.NUMBER: 0,
    d.QUANTITY: "0",
    d.INT_OR_STRING: 0,
}


class _Reader:
    """Walks a value along its type. The first error is kept and the walk goes on, as in encoding/json."""

    def __init__(self) -> None:
        self.error = ""
        self.ended = False  # whether Go's reading ends with the error
        self.strict: list[str] = []
        self.parsed = False  # whether the converter reads, not the decoder
        self.emptied: dict[str, Any] = {}
        self.names: list[str] = []  # of the fields on the way, without list indexes and map keys
        self.path: list[str] = []  # of everything on the way
        self.struct = ""

    def value(self, type_: Type, value: Any) -> Any:
        return self._readers[type_.kind](self, type_, value)

    # --- errors

    def _mismatch(self, type_: Type, value: Any, what: str = "", go: str = "", at_once: bool = False) -> None:
        if self.parsed:
            self._fail(converter.mismatch(type_, value), at_once)
            return
        what = what or json_text.go_kind(value)
        target = f"Go struct field {self.struct}.{'.'.join(self.names)}" if self.names else "Go value"
        self._fail(f"json: cannot unmarshal {what} into {target} of type {go or type_.go}", at_once)

    def _fail(self, message: str, at_once: bool = False) -> None:
        """Keeps the first error; one that ends Go's reading `at_once` counts before those that do not."""
        if not self.error or (at_once and not self.ended):
            self.error, self.ended = message, at_once

    def _strict(self, problem: str, name: str) -> None:
        path = "".join([*self.path, "." + name]).removeprefix(".")
        self.strict.append(f"{problem} field {quoted(path)}")

    # --- containers

    def _object(self, type_: Type, value: Any) -> Any:
        if value is None:
            return zero(type_)
        if not isinstance(value, dict):
            self._mismatch(type_, value)
            return {}
        by_name = type_.by_name
        found: dict[str, Any] = {}
        names, path, readers = self.names, self.path, self._readers
        outer, struct = self.struct, type_.struct
        for name, item in _items(value):
            known = by_name.get(name)
            if known is None:
                self._strict("unknown", name)
                continue
            if item is None and (known.pointer or name not in found):
                found.pop(name, None)
                continue
            kind = known.type.kind
            if (kind == d.STRING and isinstance(item, str)) or (kind == d.BOOLEAN and isinstance(item, bool)):
                found[name] = item
                continue
            if (
                name in found
                and isinstance(item, dict)
                and isinstance(found[name], dict)
                and isinstance(value, json_text.Repeated)
            ):
                item = {**found[name], **item}
            names.append(known.go_path or name)
            path.append("." + name)
            self.struct = struct
            found[name] = readers[kind](self, known.type, item)
            names.pop()
            path.pop()
        self.struct = outer
        if isinstance(value, json_text.Repeated):
            for name, _ in value.earlier:
                self._strict("duplicate", name)
        out = {}
        for item in type_.always:
            if item.name not in found:
                found[item.name] = _UNSET
        for name in sorted(found, key=type_.order.__getitem__):
            item, result = by_name[name], found[name]
            if result is _UNSET:
                out[name] = zero_field(item)
                continue
            if not result and _omitted(item, result) and not (name in _KEPT_EMPTY and result == []):
                if result == [] or result == {}:
                    self.emptied["".join([*path, "." + name]).removeprefix(".")] = result
                continue
            out[name] = result
        return out

    def _map(self, type_: Type, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            self._mismatch(type_, value)
            return {}
        element = type_.element
        assert element is not None
        out = {}
        for key, item in _items(value):
            if item is None:
                out[key] = None if type_.pointers else "" if element.kind == d.BYTES else zero(element)
                continue
            self.path.append("." + key)
            out[key] = self.value(element, item)
            self.path.pop()
        if isinstance(value, json_text.Repeated):
            for name, _ in value.earlier:
                self._strict("duplicate", name)
        return dict(sorted(out.items())) if len(out) > 1 else out

    def _list(self, type_: Type, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            self._mismatch(type_, value)
            return []
        element = type_.element
        assert element is not None
        out = []
        for index, item in enumerate(value):
            if item is None:
                out.append(None if type_.pointers else zero(element))
                continue
            self.path.append(f"[{index}]")
            out.append(self.value(element, item))
            self.path.pop()
        return out

    # --- scalars

    def _string(self, type_: Type, value: Any) -> Any:
        if not isinstance(value, str):
            if value is not None:
                self._mismatch(type_, value)
            return ""
        return value

    def _boolean(self, type_: Type, value: Any) -> Any:
        if not isinstance(value, bool):
            if value is not None:
                self._mismatch(type_, value)
            return False
        return value

    def _integer(self, type_: Type, value: Any, go: str = "") -> Any:
        if self.parsed and isinstance(value, (int, float)) and not go:
            value = converter.whole(value, type_.bits)
        if isinstance(value, int) and not isinstance(value, bool):
            if values.whole(value, type_.bits):
                return value
            self._mismatch(type_, value, f"number {value}", go)
        elif isinstance(value, float):
            self._mismatch(type_, value, f"number {getattr(value, 'text', repr(value))}", go)
        elif value is not None:
            self._mismatch(type_, value, go=go)
        return 0

    def _number(self, type_: Type, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return json_text.number(value)
        if value is not None:
            self._mismatch(type_, value)
        return 0

    def _bytes(self, type_: Type, value: Any) -> Any:
        if isinstance(value, list):
            return self._list(d.Type(d.LIST, element=d.Type(d.INTEGER, bits=8, go="uint8"), go=type_.go), value)
        if not isinstance(value, str):
            if value is not None:
                self._mismatch(type_, value)
            return ""
        try:
            return values.base64_bytes(value)
        except values.BadValue as error:
            self._fail(f"error decoding from json: {error}" if self.parsed else str(error))
            return ""

    def _time(self, type_: Type, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            self._mismatch(type_, value, go="string", at_once=True)
            return None
        try:
            found = values.time(value, type_.kind == d.MICRO_TIME)
        except values.BadValue as error:
            self._fail(str(error), at_once=True)
            return None
        return None if found.startswith("0001-01-01T00:00:00") else found

    def _quantity(self, type_: Type, value: Any) -> Any:
        if value is None:
            return "0"
        text = value if isinstance(value, str) else getattr(value, "text", None)
        if text is None:
            text = str(value).lower() if not isinstance(value, (dict, list)) else "{"
        try:
            return values.quantity(text)
        except values.BadValue as error:
            self._fail(str(error), at_once=True)
            return "0"

    def _int_or_string(self, type_: Type, value: Any) -> Any:
        if isinstance(value, str):
            return value
        if self.parsed and (isinstance(value, (bool, float, dict, list)) or not values.whole(value or 0, 32)):
            self._mismatch(type_, value)
            return 0
        return self._integer(_INT32, value, "int32")

    def _any(self, type_: Type, value: Any) -> Any:
        if type_.inner is not None:
            return self._json_schema(type_.inner, type_.go, value)
        self._repeated(value)
        return json_text.plain(value)

    def _json_schema(self, schema: Type, go: str, value: Any) -> Any:
        """A JSON schema, or what may stand in its place. Go reads it apart, so that unknown fields are no errors."""
        if isinstance(value, dict):
            reader = _Reader()
            reader.names = [] if self.parsed else list(self.names)
            found = reader.value(schema, value)
            if reader.error:
                self._fail(reader.error, at_once=True)
            return found
        if go.endswith("OrBool"):
            if not isinstance(value, bool):
                self._fail("boolean or JSON schema expected", at_once=True)
            return value
        if not isinstance(value, list):
            return None
        return [self._json_schema(schema, go, item) if go.endswith("OrArray") else item for item in value] or None

    def _repeated(self, value: Any) -> None:
        self.strict += json_text.repeated_fields(value, "".join(self.path))

    _readers: ClassVar[dict[str, Callable[[_Reader, Type, Any], Any]]] = {
        d.OBJECT: _object,
        d.MAP: _map,
        d.LIST: _list,
        d.STRING: _string,
        d.BOOLEAN: _boolean,
        d.INTEGER: _integer,
        d.NUMBER: _number,
        d.BYTES: _bytes,
        d.TIME: _time,
        d.MICRO_TIME: _time,
        d.QUANTITY: _quantity,
        d.INT_OR_STRING: _int_or_string,
        d.RAW: lambda self, type_, value: json_text.plain(value),
        d.ANY: _any,
    }


# lists that say something when they are empty: to forget all managers; that no policy is to be the default's
_KEPT_EMPTY = frozenset({"managedFields", "policies"})
_UNSET = object()  # in the place of a field that Go serializes though nothing was said of it
_INT32 = Type(d.INTEGER, go="int32", bits=32)


def _items(value: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Members of an object, those that a repeated key hides first."""
    if isinstance(value, json_text.Repeated):
        return [*value.earlier, *value.items()]
    return value.items()


def _omitted(item: Field, value: Any) -> bool:
    """Whether Go leaves a field with this value out."""
    if item.omit_zero and (value is None or value == {}):
        return True
    if not item.omit_empty:
        return False
    if item.pointer:
        return value is None
    kind = item.type.kind
    if kind in (d.STRING, d.BYTES, d.LIST, d.MAP, d.BOOLEAN, d.INTEGER, d.NUMBER):
        return not value
    return kind == d.ANY and value is None
