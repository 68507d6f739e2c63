"""Warnings of CustomResourceDefinitions. Source: k8s.io/apiextensions-apiserver, pkg/registry/customresourcedefinition."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import crd_structure, string_formats


def of_definition(new: Object, old: Object | None) -> list[str]:
    """Formats of strings that mean nothing, and that were not there before."""
    before = _unknown_formats(old) if old is not None else []
    return [f'unrecognized format "{name}"' for name in _unknown_formats(new) if name not in before]


def _unknown_formats(crd: Object) -> list[str]:
    schemas = [(version or {}).get("schema") for version in (crd.get("spec") or {}).get("versions") or ()]
    if schemas and all(schema == schemas[0] for schema in schemas):
        schemas = schemas[:1]  # what all versions share is judged once
    return [name for schema in schemas for name in _of_schema((schema or {}).get("openAPIV3Schema"))]


def _of_schema(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    form = schema.get("format") or ""
    found = [form] if form and schema.get("type") == "string" and not string_formats.known(form) else []
    return found + [name for _, child in crd_structure.children(schema) for name in _of_schema(child)]
