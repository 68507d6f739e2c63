"""Objects within custom resources (x-kubernetes-embedded-resource): they have a version, a kind and metadata.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema/objectmeta.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.schema.structural import EMBEDDED, Schema, below
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.errors import Errors, invalid, required

_MIXED = "may have mixed case, but should otherwise match: "
_NO_NAME = "fakename"  # stands for a name that is not there, as that is no error here


def validate_embedded(schema: Schema | None, value: Any, path: str = "", embedded: bool = False) -> Errors:
    """Errors of all embedded objects of a value; `embedded` says whether the value is one."""
    if not schema or not (embedded or below(schema).embedded):
        return []
    found: Errors = []
    if isinstance(value, dict):
        if embedded:
            found += _object(value, path)
        values, properties = schema.get("additionalProperties"), schema.get("properties") or {}
        for name, item in value.items():
            if name in properties:
                child = properties[name]
                here = f"{path}.{name}" if path else name
            elif isinstance(values, dict):
                child, here = values, f"{path}[{name}]"
            else:
                continue
            found += validate_embedded(child, item, here, bool(child.get(EMBEDDED)))
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        items = schema["items"]
        for index, item in enumerate(value):
            found += validate_embedded(items, item, f"{path}[{index}]", bool(items.get(EMBEDDED)))
    return found


def _object(value: dict[str, Any], path: str) -> Errors:
    prefix = f"{path}." if path else ""
    found = [required(f"{prefix}{name}") for name in ("apiVersion", "kind") if name not in value]
    if "apiVersion" in value:
        found += _version(value["apiVersion"], f"{prefix}apiVersion")
    if "kind" in value:
        found += _kind(value["kind"], f"{prefix}kind")
    meta = value.get("metadata")
    if isinstance(meta, dict):
        named = {**meta, "name": meta.get("name") or _NO_NAME}
        found += metadata.on_create(named, bool(meta.get("namespace")), formats.path_segment, f"{prefix}metadata")
    return found


def _version(value: Any, path: str) -> Errors:
    if not isinstance(value, str):
        return [invalid(path, value, "must be a string")]
    if not value:
        return [invalid(path, value, "must not be empty")]
    if value.count("/") > 1:
        return [invalid(path, value, f"unexpected GroupVersion string: {value}")]
    return []


def _kind(value: Any, path: str) -> Errors:
    if not isinstance(value, str):
        return [invalid(path, value, "must be a string")]
    if not value:
        return [invalid(path, value, "must not be empty")]
    faults = formats.dns_1035_label(value.lower())
    return [invalid(path, value, _MIXED + ",".join(faults))] if faults else []
