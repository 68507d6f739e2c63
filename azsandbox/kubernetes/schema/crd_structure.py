"""Whether the schema of a CustomResourceDefinition is structural.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema (convert.go, validation.go, complete.go).
"""

from __future__ import annotations

from typing import Any

from azsandbox import patterns
from azsandbox.kubernetes.schema.structural import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    RULES,
    Schema,
)
from azsandbox.kubernetes.validation.errors import Errors, forbidden, invalid, required

ROOT, ITEM, FIELD = "root", "array items", "object fields"  # where a schema stands
LOGICAL = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_UNSUPPORTED = {
    "id": "id",
    "$schema": "schema",
    "$ref": "$ref",
    "patternProperties": "patternProperties",
    "dependencies": "dependencies",
    "additionalItems": "additionalItems",
    "definitions": "definitions",
}
_EMPTY, _FALSE, _UNDEFINED = (f"must be {word} to be structural" for word in ("empty", "false", "undefined"))
# what a part of a logical keyword may not have, in the order in which it is told
_NOT_NESTED = (
    ("default", _UNDEFINED),
    ("title", _EMPTY),
    ("description", _EMPTY),
    ("nullable", _FALSE),
    (PRESERVE, _FALSE),
    (EMBEDDED, _FALSE),
    (INT_OR_STRING, _FALSE),
    (LIST_KEYS, _EMPTY),
    (LIST_TYPE, _UNDEFINED),
    (MAP_TYPE, _UNDEFINED),
    (RULES, _EMPTY),
)


def children(schema: Schema) -> list[tuple[str, Any]]:
    """Every schema within another, with its path from there; None for what is no schema."""
    found = [(f".properties[{name}]", child) for name, child in sorted((schema.get("properties") or {}).items())]
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            found.append((f".{name}", schema[name]))
    for name in LOGICAL:
        found += [(f".{name}[{index}]", child) for index, child in enumerate(schema.get(name) or ())]
    return found


def conversion_fault(schema: Schema) -> str:
    """Why no structural schema can be made of one at all; "" if it can."""
    for name, told in _UNSUPPORTED.items():
        if schema.get(name) or (name == "additionalItems" and schema.get(name) is not None):
            return f"OpenAPIV3Schema '{told}' is not supported"
    if schema.get(PRESERVE) is False:
        return f"internal error: '{PRESERVE}' must be true or undefined"
    if isinstance(schema.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    return next(filter(None, (conversion_fault(child) for _, child in children(schema))), "")


def validate_structural(schema: Schema, path: str) -> Errors:
    """What keeps a root schema from being structural, sorted by its text."""
    found = _invariants(schema, ROOT, path) + _complete(schema, schema, path, path)
    return sorted(found, key=lambda error: error.text)


def _invariants(schema: Schema, level: str, path: str) -> Errors:
    found: Errors = []
    kind, items, values = schema.get("type", ""), schema.get("items"), schema.get("additionalProperties")
    properties = schema.get("properties") or {}
    whole = bool(schema.get(EMBEDDED))
    if kind == "array" and not isinstance(items, dict):
        found.append(required(f"{path}.items", "must be specified"))
    if isinstance(items, dict):
        found += _invariants(items, ITEM, f"{path}.items")
    for name, child in properties.items():
        found += _invariants(child, FIELD, f"{path}.properties[{name}]")
    if values is not None:
        if level == ROOT:
            found.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
        if isinstance(values, dict):
            found += _invariants(values, FIELD, f"{path}.additionalProperties")
    if schema.get(INT_OR_STRING):
        for name in (PRESERVE, EMBEDDED):
            if schema.get(name):
                found.append(invalid(f"{path}.{name}", True, f"must be false if {INT_OR_STRING} is true"))
    found += _values(schema, _is_int_or_string(schema.get("anyOf")), _first_is_int_or_string(schema), path)
    found += _type(schema, kind, level, path)
    if whole and values is not None:
        found.append(forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set"))
    if level == ROOT and kind and kind != "object":
        found.append(invalid(f"{path}.type", kind, "must be object at the root"))
    if level == ROOT or whole:
        for name in ("kind", "apiVersion"):
            if name in properties and properties[name].get("type", "") != "string":
                told = properties[name].get("type", "")
                found.append(invalid(f"{path}.properties[{name}].type", told, "must be string"))
    if "metadata" in properties:
        where = f"{path}.properties[metadata]"
        found += _metadata(properties["metadata"], level == ROOT or whole, level, where)
    if whole and not schema.get(PRESERVE) and not properties:
        text = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
        found.append(required(f"{path}.properties", text))
    return found


def _type(schema: Schema, kind: str, level: str, path: str) -> Errors:
    if schema.get(EMBEDDED) and kind != "object":
        text = f"must be object if {EMBEDDED} is true"
        return [invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)]
    if not kind and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        where = "at the root" if level == ROOT else f"for specified {level}"
        return [required(f"{path}.type", f"must not be empty {where}")]
    return []


def _metadata(schema: Schema, checked: bool, level: str, path: str) -> Errors:
    found: Errors = []
    if checked and schema.get("type", "") != "object":
        found.append(invalid(f"{path}.type", schema.get("type", ""), "must be object"))
    if level != ROOT:
        return found
    names = set(schema.get("properties") or {})
    others = {key for key, value in schema.items() if key not in ("type", "default", "properties") and value}
    if others or names - {"name", "generateName"}:
        text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        found.append(forbidden(path, text))
    return found


def _is_int_or_string(parts: Any) -> bool:
    return bool(parts == _INT_OR_STRING)


def _first_is_int_or_string(schema: Schema) -> bool:
    parts = schema.get("allOf") or []
    return bool(parts) and _is_int_or_string(parts[0].get("anyOf"))


def _values(schema: Schema, skip_any: bool, skip_first: bool, path: str) -> Errors:
    """The parts of logical keywords. An int-or-string may name its two types in them."""
    found: Errors = []
    for index, part in enumerate(() if skip_any else schema.get("anyOf") or ()):
        found += _nested(part, False, f"{path}.anyOf[{index}]")
    for index, part in enumerate(schema.get("allOf") or ()):
        found += _nested(part, skip_first and index == 0, f"{path}.allOf[{index}]")
    for index, part in enumerate(schema.get("oneOf") or ()):
        found += _nested(part, False, f"{path}.oneOf[{index}]")
    if schema.get("not") is not None:
        found += _nested(schema["not"], False, f"{path}.not")
    if schema.get("pattern"):
        found += _pattern(schema["pattern"], f"{path}.pattern")
    return found


def _nested(schema: Schema, skip_any: bool, path: str) -> Errors:
    found = _values(schema, skip_any, False, path)
    if isinstance(schema.get("items"), dict):
        found += _nested(schema["items"], False, f"{path}.items")
    properties = schema.get("properties") or {}
    for name, child in properties.items():
        found += _nested(child, False, f"{path}.properties[{name}]")
    if schema.get("type"):
        found.append(forbidden(f"{path}.type", _EMPTY))
    if schema.get("additionalProperties") not in (None, False):
        found.append(forbidden(f"{path}.additionalProperties", _UNDEFINED))
    for name, text in _NOT_NESTED:
        if schema.get(name) or (schema.get(name) is not None and text == _UNDEFINED):
            found.append(forbidden(f"{path}.{name}", text))
    if "metadata" in properties:
        found.append(forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context"))
    return found


def _complete(part: Schema, whole: Any, whole_path: str, path: str) -> Errors:
    """Whether everything that logical keywords judge is there outside of them."""
    found: Errors = []
    for name in ("not", *LOGICAL):
        value = part.get(name)
        nested = (
            [(f"{path}.not", value)]
            if name == "not"
            else [(f"{path}.{name}[{index}]", child) for index, child in enumerate(value or ())]
        )
        for where, child in nested:
            if child is not None:
                found += _complete_nested(child, whole, whole_path, where)
    return found


def _complete_nested(part: Schema, whole: Any, whole_path: str, path: str) -> Errors:
    if not isinstance(whole, dict):
        return [required(whole_path, f"because it is defined in {path}")]
    found = _complete(part, whole, whole_path, path)
    if isinstance(part.get("items"), dict):
        found += _complete_nested(part["items"], whole.get("items"), f"{whole_path}.items", f"{path}.items")
    known = whole.get("properties") or {}
    for name, child in (part.get("properties") or {}).items():
        where, told = f"{whole_path}.properties[{name}]", f"{path}.properties[{name}]"
        if name in known:
            found += _complete_nested(child, known[name], where, told)
        else:
            found.append(required(where, f"because it is defined in {told}"))
    return found


def _pattern(text: str, path: str) -> Errors:
    try:
        patterns.compiled(text)
    except patterns.PatternError as error:
        return [invalid(path, text, f"must be a valid regular expression, but isn't: {error}")]
    return []
