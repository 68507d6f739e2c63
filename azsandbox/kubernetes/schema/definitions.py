"""The types of the API: one abstraction for built-in Go types and for the schemas of custom resources.

A built-in type is read from `data/kubernetes/<minor>/types.json`, which says what the Go struct is
(field order, omitempty, pointers) and what its OpenAPI markers are (list types, keys, merge keys).
Types are built when first asked for.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import orjson

from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.resources import DEFAULT_MINOR

# kinds of a Type
OBJECT, MAP, LIST = "object", "map", "list"
STRING, BOOLEAN, INTEGER, NUMBER, BYTES = "string", "boolean", "integer", "number", "bytes"
TIME, MICRO_TIME, QUANTITY, INT_OR_STRING = "time", "micro-time", "quantity", "int-or-string"
ANY, RAW = "any", "raw"  # any JSON value; any JSON object

_SPECIAL = {
    "Time": TIME,
    "MicroTime": MICRO_TIME,
    "Quantity": QUANTITY,
    "IntOrString": INT_OR_STRING,
    "RawExtension": RAW,
    "FieldsV1": RAW,
    "JSON": ANY,
    "JSONSchemaPropsOrArray": ANY,
    "JSONSchemaPropsOrBool": ANY,
    "JSONSchemaPropsOrStringArray": ANY,
    "any": ANY,
}
_SCALARS = {"s": STRING, "b": BOOLEAN, "y": BYTES, "float64": NUMBER}
# the structs that a Go type embeds, which hold its inlined fields
_EMBEDDED = {
    "ConfigMapEnvSource": "LocalObjectReference",
    "ConfigMapKeySelector": "LocalObjectReference",
    "ConfigMapProjection": "LocalObjectReference",
    "ConfigMapVolumeSource": "LocalObjectReference",
    "DeviceAllocationConfiguration": "DeviceConfiguration",
    "DeviceClaimConfiguration": "DeviceConfiguration",
    "DeviceClassConfiguration": "DeviceConfiguration",
    "EphemeralContainer": "EphemeralContainerCommon",
    "IngressRule": "IngressRuleValue",
    "NamedRuleWithOperations": "RuleWithOperations",
    "PersistentVolumeSpec": "PersistentVolumeSource",
    "Probe": "ProbeHandler",
    "RuleWithOperations": "Rule",
    "SecretEnvSource": "LocalObjectReference",
    "SecretKeySelector": "LocalObjectReference",
    "SecretProjection": "LocalObjectReference",
    "Volume": "VolumeSource",
}
_JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(slots=True)
class Field:
    """A property of an object: its type and how Go serializes it."""

    name: str
    type: Type
    omit_empty: bool = True
    omit_zero: bool = False
    pointer: bool = False
    inlined: bool = False  # of a struct that Go embeds
    default: Any = None
    enum: tuple[Any, ...] = ()
    number: int = 0  # in protocol buffers
    possible: str = ""  # what the values of an enumeration mean, as descriptions say it
    within: tuple[int, ...] = ()  # numbers of the messages around the field of an inlined struct
    go_path: str = ""  # the name behind those of the structs that hold the field, as the decoder's errors write it


class Type:
    """What a value may be.

    `list_type` is "map", "set" or "atomic", `map_type` "granular" or "atomic": they say who owns the parts in
    server-side apply. `merge_key` and `strategies` are those of a strategic merge patch.
    """

    name = ""  # of the definition, e.g. io.k8s.api.core.v1.Pod; "" for what has no name
    go = ""  # the Go type as the decoder's errors write it
    element: Type | None = None  # of a list or a map
    inner: Type | None = None  # of an object that may stand in the place of any value
    pointers = False  # whether the elements are Go pointers
    list_type = ""
    list_map_keys: tuple[str, ...] = ()
    merge_key = ""
    strategies: frozenset[str] = frozenset()
    map_type = ""
    required: tuple[str, ...] = ()
    nullable = False
    preserve_unknown = False  # fields without a type are kept
    embedded = False  # is a whole object with apiVersion, kind and metadata
    schema: dict[str, Any] | None = None  # the OpenAPI schema of a custom resource's part
    bits = 64  # of an integer
    _owner: Definitions | None = None
    _rows: list[Any] | None = None

    def __init__(self, kind: str, **attributes: Any) -> None:
        self.kind = kind
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        return f"Type({self.kind}, {self.go or self.name})"

    def marked(self, **attributes: Any) -> Type:
        """The same type with other markers."""
        other = copy.copy(self)
        other.__dict__.update(attributes)
        return other

    @cached_property
    def struct(self) -> str:
        """The Go type without its package."""
        return self.go.rpartition(".")[2]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Fields of an object in the order in which Go serializes them; of a custom type by name."""
        assert self._owner is not None or not self._rows
        return tuple(self._owner.field(row, self.name) for row in self._rows or ())  # type: ignore[union-attr]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields of an object by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def order(self) -> dict[str, int]:
        """Where each field of an object stands among the others."""
        return {field.name: index for index, field in enumerate(self.fields)}

    @cached_property
    def always(self) -> tuple[Field, ...]:
        """Fields that Go serializes even where they are not set."""
        return tuple(field for field in self.fields if not skipped_when_unset(field))

    @cached_property
    def key_defaults(self) -> dict[str, Any]:
        """Defaults of the keys of a list's elements: an element without `protocol` has the key TCP."""
        if self.element is None:
            return {}
        known = ((key, self.element.by_name.get(key)) for key in self.list_map_keys)
        return {key: field.default for key, field in known if field is not None and field.default is not None}

    @property
    def properties(self) -> dict[str, Type]:
        """Types of an object's fields."""
        return {name: field.type for name, field in self.by_name.items()}

    def child(self, name: str) -> Type | None:
        """The type of a field of an object or of a value in a map; None where the schema says nothing."""
        if self.kind == OBJECT:
            field = self.by_name.get(name)
            if field is not None:
                return field.type
        return self.element


def skipped_when_unset(field: Field) -> bool:
    """Whether Go leaves a field out where it has its zero value. Structs are never empty for `omitempty`."""
    if field.omit_zero:
        return True
    if not field.omit_empty:
        return False
    return field.pointer or field.type.kind not in (OBJECT, TIME, MICRO_TIME, QUANTITY, INT_OR_STRING, RAW)


ANYTHING = Type(ANY, go="interface {}")


class Definitions:
    """The built-in types of one Kubernetes minor version."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._rows: dict[str, Any] = document["types"]
        self._types: dict[str, Type] = {}
        self._kinds: dict[tuple[str, str, str], str] = {}
        for name, row in self._rows.items():
            for kind in row.get("kinds", ()):
                group, version, kind_name = kind.split("/")
                self._kinds[group, version, kind_name] = name

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def name_of(self, gvk: GroupVersionKind) -> str:
        """The name of a kind's definition, "" if there is none."""
        return self._kinds.get((gvk.group, gvk.version, gvk.kind), "")

    def kinds_of(self, name: str) -> list[str]:
        """The kinds that a definition serves, each as group/version/kind."""
        return list(self._rows.get(name, {}).get("kinds", ()))

    def names(self) -> list[str]:
        """Names of all definitions."""
        return list(self._rows)

    def type_of(self, gvk: GroupVersionKind) -> Type | None:
        """The type of a kind, or None if it is not built in."""
        name = self._kinds.get((gvk.group, gvk.version, gvk.kind))
        return self.named(name) if name else None

    def named(self, name: str) -> Type:
        """The type of a definition."""
        found = self._types.get(name)
        if found is None:
            row = self._rows[name]
            found = self._types[name] = Type(
                OBJECT,
                name=name,
                go=".".join(name.split(".")[-2:]),
                required=tuple(row.get("required", ())),
                map_type=row.get("map", ""),
                _owner=self,
                _rows=row["fields"],
            )
        return found

    @property
    def object_meta(self) -> Type:
        """The type of every object's metadata."""
        return self.named(_OBJECT_META)

    def field(self, row: list[Any], owner: str) -> Field:
        """A field of a type as types.json has it."""
        name, kind, go, flags, number = row[:5]
        markers = row[5] if len(row) > 5 else {}
        within = tuple(markers.get("in", ()))
        return Field(
            name,
            self._type(kind, go, markers),
            "e" in flags,
            "z" in flags,
            "p" in flags,
            "i" in flags,
            markers.get("default"),
            tuple(markers.get("enum", ())),
            number,
            markers.get("possible", ""),
            within,
            ".".join([*_embedding(owner.rpartition(".")[2], len(within)), name]),
        )

    def _type(self, kind: str, go: str, markers: dict[str, Any]) -> Type:
        pointer = kind.startswith("*")
        kind = kind.lstrip("*")
        if kind[0] in "[{":
            inner = markers.get("items" if kind[0] == "[" else "values", {})
            text = go.lstrip("*")
            element_text = (
                text[2:] if text.startswith("[]") else text.partition("]")[2] if text.startswith("map[") else ""
            )
            attributes: dict[str, Any] = {"go": text}
            attributes["pointers"] = kind[1] == "*"
            attributes["element"] = self._type(kind[1:], element_text.lstrip("*"), inner)
            if kind[0] == "[":
                attributes["list_type"] = markers.get("list", "atomic")
                attributes["list_map_keys"] = tuple(markers.get("keys", ()))
                attributes["merge_key"] = markers.get("merge", "")
                attributes["strategies"] = frozenset(filter(None, markers.get("strategy", "").split(",")))
                return Type(LIST, **attributes)
            attributes["map_type"] = markers.get("map", "granular")
            attributes["strategies"] = frozenset(filter(None, markers.get("strategy", "").split(",")))
            return Type(MAP, **attributes)
        if kind[0] == "#":
            found = self.named(kind[1:])
            own: dict[str, Any] = {}
            if "map" in markers:
                own["map_type"] = markers["map"]
            if "strategy" in markers:
                own["strategies"] = frozenset(markers["strategy"].split(","))
            return found.marked(**own) if own else found
        if kind.startswith("!JSONSchemaProps"):
            return Type(ANY, go=go or kind[1:], inner=self.named(_JSON_SCHEMA))
        if kind[0] == "!":
            return Type(_SPECIAL[kind[1:]], go=go or kind[1:], map_type=markers.get("map", ""))
        if kind in _SCALARS:
            return Type(
                _SCALARS[kind], go=go or {"s": "string", "b": "bool", "y": "[]uint8"}.get(kind, kind), nullable=pointer
            )
        return Type(INTEGER, go=go or kind, bits=8 if kind == "uint8" else int(kind.removeprefix("int") or 64))


def _embedding(struct: str, depth: int) -> list[str]:
    """Names of the structs, each in the one before, that hold a field of a Go struct."""
    found: list[str] = []
    while len(found) < depth and struct in _EMBEDDED:
        struct = _EMBEDDED[struct]
        found.append(struct)
    return found


@cache
def definitions(minor: str = DEFAULT_MINOR) -> Definitions:
    """The built-in types of a Kubernetes minor version, read once."""
    found = files("azsandbox") / "data" / "kubernetes" / minor / "types.json"
    return Definitions(orjson.loads(found.read_bytes()))
