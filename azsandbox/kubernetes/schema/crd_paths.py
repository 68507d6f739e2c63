"""Paths to fields of a custom resource, as rules and selectable fields of its definition have them.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema/cel (ValidFieldPath).
"""

from __future__ import annotations

import re
from typing import Any

from azsandbox.kubernetes.schema.structural import Schema

_NOWHERE = "does not refer to a valid field"
_TOKENS = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]]+")


class FieldPathError(Exception):
    """A path that is none, or that leads to no field."""


def field_path(path: str, schema: Schema, arrays: bool = True) -> tuple[tuple[str, ...], Schema]:
    """The names on a path, and the schema that it leads to. `arrays`: whether ['name'] is allowed. Raises FieldPathError."""
    tokens = _TOKENS.findall(path)
    names: list[str] = []
    found: Any = schema
    while tokens:
        part = tokens.pop(0)
        if part == "[":
            if not arrays:
                raise FieldPathError("array notation is not allowed")
            name = _next(tokens)
            if len(name) < 2 or name[0] != "'" or name[-1] != "'":
                raise FieldPathError(f"expected single quoted string but got {name}")
            found = _child(found, re.sub(r"\\(.)", r"\1", name[1:-1]))
            names.append(name[1:-1])
            closing = _next(tokens)
            if closing != "]":
                raise FieldPathError(f"expected ] but got {closing}")
        elif part == ".":
            name = _next(tokens)
            found = _child(found, name)
            names.append(name)
        else:
            raise FieldPathError(f"expected [ or . but got: {part}")
    return tuple(names), found


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise FieldPathError("unexpected end of JSON path")
    return tokens.pop(0)


def _child(schema: Schema, name: str) -> Schema:
    properties, values = schema.get("properties"), schema.get("additionalProperties")
    if properties and name in properties:
        found: Schema = properties[name]
        return found
    if not properties and isinstance(values, dict):
        return values
    raise FieldPathError(_NOWHERE)
