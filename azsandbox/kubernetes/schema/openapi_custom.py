"""The schemas of custom resources as OpenAPI publishes them.

Source: k8s.io/apiextensions-apiserver, pkg/controller/openapi (builder, v2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.schema.structural import EMBEDDED, PRESERVE, Schema

_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_JUNCTORS = ("allOf", "oneOf", "anyOf", "not")
_EMBEDDED_VERSION = (
    f"apiVersion defines the versioned schema of this representation of an object. More info: {_CONVENTIONS}#resources"
)
_EMBEDDED_KIND = (
    f"kind is a string value representing the type of this object. In CamelCase. More info: {_CONVENTIONS}#types-kinds"
)


def published(
    schema: Schema | None,
    resource: Resource,
    metadata: dict[str, Any],
    described: dict[str, str],
    selectable: Sequence[str],
    v2: bool,
) -> Schema:
    """A schema with apiVersion, kind and metadata, and what clients need to know of the kind.

    `metadata` refers to the schema of ObjectMeta, `described` has the descriptions of apiVersion and kind.
    """
    if schema is None or (v2 and schema.get(PRESERVE)):
        # kubectl would take a list of properties for all there are
        found: Schema = {"type": "object"}
    else:
        found = _without_junctors(schema) if v2 else dict(schema)
        properties = {name: _embedded(child, metadata, v2) for name, child in (found.get("properties") or {}).items()}
        properties |= {name: {"description": text, "type": "string"} for name, text in described.items()}
        properties["metadata"] = metadata
        found["properties"] = dict(sorted(properties.items()))
    found["x-kubernetes-group-version-kind"] = [resource.gvk._asdict()]
    if selectable:
        found["x-kubernetes-selectable-fields"] = [{"fieldPath": path.removeprefix(".")} for path in selectable]
    return found


def _without_junctors(schema: Schema) -> Schema:
    """A schema without what OpenAPI v2, or kubectl's reading of it, cannot have."""
    found = {key: value for key, value in schema.items() if key not in _JUNCTORS}
    if found.pop("nullable", False):
        for key in ("type", "items", "properties"):
            found.pop(key, None)
    if found.get(PRESERVE):
        found.pop("items", None)
        found.pop("properties", None)
        if found.get("type") == "object":
            del found["type"]
    if found.get("type") == "array" and not isinstance(found.get("items"), dict):
        del found["type"]
    properties = found.get("properties") or {}
    needed = [name for name in found.get("required") or () if not (properties.get(name) or {}).get("nullable")]
    values = found.get("additionalProperties")
    if isinstance(values, dict) and values.get("nullable"):
        needed = []
    if needed != list(found.get("required") or ()):
        found["required"] = needed
        if not needed:
            del found["required"]
    if properties:
        found["properties"] = {name: _without_junctors(child) for name, child in properties.items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _without_junctors(found[key])
    return found


def _embedded(schema: Schema, metadata: dict[str, Any], v2: bool) -> Schema:
    """A part of a schema where embedded objects have their apiVersion, kind and metadata."""
    found = dict(schema)
    if found.get("properties"):
        found["properties"] = {name: _embedded(child, metadata, v2) for name, child in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _embedded(found[key], metadata, v2)
    if not found.get(EMBEDDED) or (v2 and found.get(PRESERVE)):
        return found
    properties = dict(found.get("properties") or {})
    properties["apiVersion"] = {"description": _EMBEDDED_VERSION, "type": "string"}
    properties["kind"] = {"description": _EMBEDDED_KIND, "type": "string"}
    properties["metadata"] = metadata
    found["properties"] = dict(sorted(properties.items()))
    needed = list(found.get("required") or ())
    found["required"] = [*needed, *(name for name in ("kind", "apiVersion") if name not in needed)]
    return found
