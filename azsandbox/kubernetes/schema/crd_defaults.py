"""Defaults in the schemas of CustomResourceDefinitions: they fit their schemas and have no unknown fields.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema/defaulting.
"""

from __future__ import annotations

import copy

from azsandbox.kubernetes.schema import custom_rules, custom_values, structural
from azsandbox.kubernetes.schema.embedded import validate_embedded
from azsandbox.kubernetes.schema.structural import EMBEDDED, Schema
from azsandbox.kubernetes.validation.errors import Errors, FieldError, invalid

_META = ("metadata", "apiVersion", "kind")


def validate_defaults(schema: Schema, path: str) -> Errors:
    """Errors of the defaults of a root schema and of all below it."""
    return _walk({**schema, EMBEDDED: True}, path, False)


def _walk(schema: Schema, path: str, in_metadata: bool) -> Errors:
    in_metadata = in_metadata and not schema.get(EMBEDDED)
    found = [] if in_metadata or schema.get("default") is None else _default(schema, f"{path}.default")
    if isinstance(schema.get("items"), dict):
        found += _walk(schema["items"], f"{path}.items", in_metadata)
    for name, child in sorted((schema.get("properties") or {}).items()):
        within = in_metadata or (bool(schema.get(EMBEDDED)) and name in _META)
        found += _walk(child, f"{path}.properties[{name}]", within)
    return found


def _default(schema: Schema, path: str) -> Errors:
    value = copy.deepcopy(schema["default"])
    bare: Schema = {key: item for key, item in schema.items() if key != "default"}
    found: Errors = []
    if structural.prune(bare, value, bool(schema.get(EMBEDDED))):
        found.append(invalid(path, schema["default"], "must not have unknown fields"))
    errors = validate_embedded(bare, schema["default"], "", bool(schema.get(EMBEDDED)))
    errors = (
        errors
        or custom_values.validate(bare, schema["default"])
        or custom_rules.validate_rules(bare, schema["default"], schema["default"], root=False)
    )
    for error in errors:
        below = "" if error.field == custom_values.NIL else error.field
        place = f"{path}.{below}" if below and not below.startswith("[") else path + below
        found.append(FieldError(error.type, place, error.bad_value, error.detail))
    return found
