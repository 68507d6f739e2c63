"""Structural schemas of custom resources: types made of them, unknown fields pruned, defaults filled in.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema (pruning, defaulting, objectmeta).
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema.definitions import ANYTHING, Definitions, Field, Type
from azsandbox.kubernetes.schema.typed_values import convert, zero

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE, LIST_KEYS, MAP_TYPE = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"
_IDENTITY = ("apiVersion", "kind", "metadata")
_KINDS = {"string": d.STRING, "boolean": d.BOOLEAN, "integer": d.INTEGER, "number": d.NUMBER}
_STRING = Type(d.STRING, go="string")


def type_from(schema: Schema | None, definitions: Definitions) -> Type:
    """The Type of the objects of a custom resource: its schema, with apiVersion, kind and metadata."""
    return _type(schema or {"type": "object", PRESERVE: True}, definitions, whole=True)


def _type(schema: Schema, definitions: Definitions, whole: bool = False) -> Type:
    if schema.get(INT_OR_STRING):
        return Type(d.INT_OR_STRING, schema=schema)
    kind = schema.get("type", "")
    if kind == "array":
        items = schema.get("items")
        element = _type(items, definitions) if isinstance(items, dict) else ANYTHING
        list_type = schema.get(LIST_TYPE) or "atomic"
        return Type(
            d.LIST,
            element=element,
            list_type=list_type,
            list_map_keys=tuple(schema.get(LIST_KEYS) or ()),
            schema=schema,
        )
    if kind == "object" or whole:
        return _object(schema, definitions, whole or bool(schema.get(EMBEDDED)))
    if kind in _KINDS:
        return Type(_KINDS[kind], schema=schema, nullable=bool(schema.get("nullable")))
    return Type(d.ANY, schema=schema)


def _object(schema: Schema, definitions: Definitions, whole: bool) -> Type:
    map_type = schema.get(MAP_TYPE) or "granular"
    values = schema.get("additionalProperties")
    if values and not whole:
        element = _type(values, definitions) if isinstance(values, dict) else ANYTHING
        return Type(d.MAP, element=element, map_type=map_type, schema=schema)
    properties = {name: _type(item, definitions) for name, item in (schema.get("properties") or {}).items()}
    if whole:
        properties |= {"apiVersion": _STRING, "kind": _STRING, "metadata": definitions.object_meta}
    if not properties and schema.get(PRESERVE):
        return Type(d.ANY, schema=schema, map_type=map_type)
    found = Type(
        d.OBJECT,
        map_type=map_type,
        schema=schema,
        required=tuple(schema.get("required") or ()),
        preserve_unknown=bool(schema.get(PRESERVE)),
        element=ANYTHING if schema.get(PRESERVE) else None,
        embedded=whole,
    )
    defaults = schema.get("properties") or {}
    fields = [Field(name, item, default=defaults.get(name, {}).get("default")) for name, item in properties.items()]
    found.__dict__["fields"] = tuple(fields)
    return found


class Below(NamedTuple):
    """What there is in a schema or anywhere below it, so that values are not walked for what none of them can have."""

    embedded: bool  # objects within objects
    lists: bool  # lists whose elements have to differ
    rules: bool
    simple: frozenset[str] | None  # the fields of an object of simple values without defaults; None for another

    def leaves(self, item: Any) -> bool:
        """Whether neither pruning nor defaults can change a value: it has simple values in known fields alone."""
        names = self.simple
        return (
            names is not None
            and isinstance(item, dict)
            and item.keys() <= names
            and _SIMPLE.issuperset(map(type, item.values()))
        )


_SIMPLE = frozenset((str, int, float, bool))
_NOTHING = Below(embedded=False, lists=False, rules=False, simple=None)
_known: dict[int, tuple[Any, Below]] = {}  # by identity of the schema, which is kept with it
_MOST_KNOWN = 100_000


def below(schema: Any) -> Below:
    """What a schema has, found out once. Schemas are not changed once they are served."""
    if not isinstance(schema, dict) or not schema:
        return _NOTHING
    known = _known.get(id(schema))
    if known is None:
        children = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
        inner = [below(child) for child in children]
        found = Below(
            bool(schema.get(EMBEDDED)) or any(item.embedded for item in inner),
            schema.get(LIST_TYPE) in ("map", "set") or any(item.lists for item in inner),
            bool(schema.get(RULES)) or any(item.rules for item in inner),
            _simple_fields(schema),
        )
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[id(schema)] = (schema, found)
    return known[1]


def _simple_fields(schema: Schema) -> frozenset[str] | None:
    if schema.get(EMBEDDED) or schema.get(PRESERVE) or schema.get("additionalProperties"):
        return None
    properties = schema.get("properties") or {}
    if any(child.get("type") not in _KINDS or "default" in child for child in properties.values()):
        return None
    return frozenset(properties)


def prune(schema: Schema | None, value: Any, whole: bool = False, path: str = "") -> list[str]:
    """Drops, in place, the fields that a schema does not know; returns their paths."""
    if schema is None:
        schema = {PRESERVE: True}
    found: list[str] = []
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            whole, known = bool(items.get(EMBEDDED)), below(items)
            for index, item in enumerate(value):
                if isinstance(item, (dict, list)) and not known.leaves(item):
                    found += prune(items, item, whole, f"{path}[{index}]")
        elif not schema.get(PRESERVE):
            found += [
                unknown for index, item in enumerate(value) for unknown in prune({}, item, False, f"{path}[{index}]")
            ]
        return found
    if not isinstance(value, dict):
        return found
    properties = schema.get("properties") or {}
    values = schema.get("additionalProperties")
    preserve = schema.get(PRESERVE)
    for name, item in list(value.items()):
        if whole and name in _IDENTITY:
            continue
        child = properties.get(name)
        if child is None and isinstance(values, dict):
            child = values
        if child is not None:
            if isinstance(item, (dict, list)):
                found += prune(child, item, bool(child.get(EMBEDDED)), f"{path}.{name}" if path else name)
        elif not preserve and not values:
            del value[name]
            found.append(f"{path}.{name}" if path else name)
    return found


def apply_defaults(schema: Schema | None, value: Any) -> None:
    """Fills in defaults, in place. null where it is not allowed counts as not set."""
    if not schema:
        return
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, child in properties.items():
            if name in value and value[name] is None and not child.get("nullable") and not _takes_null(child):
                del value[name]
            if name not in value and "default" in child:
                value[name] = copy.deepcopy(child["default"])
            if isinstance(value.get(name), (dict, list)):
                apply_defaults(child, value[name])
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            for name in [name for name in value if name not in properties]:
                if value[name] is None and not values.get("nullable") and not _takes_null(values):
                    if "default" not in values:
                        del value[name]
                        continue
                    value[name] = copy.deepcopy(values["default"])
                if isinstance(value[name], (dict, list)):
                    apply_defaults(values, value[name])
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            known = below(items)
            for index, item in enumerate(value):
                if known.leaves(item):
                    continue
                if item is None and "default" in items and not items.get("nullable"):
                    value[index] = copy.deepcopy(items["default"])
                if isinstance(value[index], (dict, list)):
                    apply_defaults(items, value[index])


def has_defaults(schema: Any) -> bool:
    """Whether a schema fills in anything."""
    if not isinstance(schema, dict):
        return False
    if "default" in schema:
        return True
    below = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(map(has_defaults, below))


def _takes_null(schema: Schema) -> bool:
    """Whether a schema says nothing of types, so that null is a value as any other."""
    return not schema.get("type") and bool(schema.get(PRESERVE)) and not schema.get(INT_OR_STRING)


def coerce_metadata(
    definitions: Definitions, schema: Schema | None, obj: Any, whole: bool = True, path: str = ""
) -> list[str]:
    """Reads the metadata of an object, and of the objects embedded in it, as ObjectMeta, in place.

    Returns the paths of unknown fields. Raises DecodeError for a wrong type.
    """
    found: list[str] = []
    if not whole and not below(schema).embedded:
        return found
    if isinstance(obj, list):
        items = (schema or {}).get("items")
        if isinstance(items, dict):
            for index, item in enumerate(obj):
                found += coerce_metadata(definitions, items, item, bool(items.get(EMBEDDED)), f"{path}[{index}]")
        return found
    if not isinstance(obj, dict):
        return found
    if whole and "metadata" in obj:
        metadata, strict = convert(definitions.object_meta, obj["metadata"] or {})
        prefix = f"{path}.metadata" if path else "metadata"
        found += [text.replace('field "', f'field "{prefix}.', 1) for text in strict]
        if metadata == zero(definitions.object_meta) and not path:
            metadata = {}
        obj["metadata"] = metadata
    schema = schema or {}
    for name, child in (schema.get("properties") or {}).items():
        if name in obj and not (whole and name in _IDENTITY):
            here = f"{path}.{name}" if path else name
            found += coerce_metadata(definitions, child, obj[name], bool(child.get(EMBEDDED)), here)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        for name, item in obj.items():
            found += coerce_metadata(definitions, values, item, bool(values.get(EMBEDDED)), f"{path}.{name}")
    return found
