"""How the fields of a type lie in a message: what is embedded in Go is a message within it."""

from __future__ import annotations

from azsandbox.kubernetes.schema.definitions import Definitions, Field, Type

JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"

Layout = dict[int, "Field | Layout"]  # by number, ascending

_LAYOUTS: dict[str, Layout] = {}


def layout(type_: Type) -> Layout:
    """The fields of a type by number; those of embedded structs under the number of their message."""
    found = _LAYOUTS.get(type_.name)
    if found is None:
        found = _LAYOUTS[type_.name] = _made(type_)
    return found


def _made(type_: Type) -> Layout:
    out: Layout = {}
    for field in type_.fields:
        if not field.number or (field.inlined and not field.within):
            continue  # kind and apiVersion are told by the envelope
        here = out
        for number in field.within:
            inner = here.setdefault(number, {})
            assert isinstance(inner, dict)
            here = inner
        here[field.number] = field
    return _ascending(out)


def _ascending(found: Layout) -> Layout:
    return {number: _ascending(item) if isinstance(item, dict) else item for number, item in sorted(found.items())}


# JSON values that Go has structs for: number → what lies there
def schema_union(go: str, known: Definitions) -> dict[int, tuple[str, Type | None]] | None:
    """How a JSONSchemaPropsOr… lies in a message: number → ("bool" | "schema" | "schemas" | "strings", type)."""
    schema = known.named(JSON_SCHEMA) if JSON_SCHEMA in known else None
    return {
        "JSONSchemaPropsOrArray": {1: ("schema", schema), 2: ("schemas", schema)},
        "JSONSchemaPropsOrBool": {1: ("bool", None), 2: ("schema", schema)},
        "JSONSchemaPropsOrStringArray": {1: ("schema", schema), 2: ("strings", None)},
    }.get(go.rpartition(".")[2])
