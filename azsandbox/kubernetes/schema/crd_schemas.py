"""The schemas of CustomResourceDefinitions: structural, and without what Kubernetes does not allow.

Source: k8s.io/apiextensions-apiserver, pkg/apis/apiextensions/validation, pkg/apiserver/schema.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from azsandbox.kubernetes.schema import custom_rules, custom_values, structural
from azsandbox.kubernetes.schema.cel import CelError
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
from azsandbox.kubernetes.validation.errors import Errors, FieldError, forbidden, invalid, not_supported, required

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = {
    "$ref": "$ref is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "patternProperties": "patternProperties is not supported",
    "additionalItems": "additionalItems is not supported",
    "id": "id is not supported",
}
_LOGICAL = ("anyOf", "oneOf", "allOf")
# value validations that may stand within a logical keyword, and what may not
_NOT_IN_LOGIC = {
    "description": "description",
    "type": "type",
    "default": "default",
    "title": "title",
    "nullable": "nullable",
}


def validate_schema(schema: Schema, path: str) -> Errors:
    """Errors of the root schema of a version."""
    found: Errors = []
    kind = schema.get("type", "")
    if schema.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    found += _walk(schema, path)
    if kind and kind != "object":
        found.append(invalid(f"{path}.type", kind, "must be object at the root"))
    elif not kind:
        found.append(required(f"{path}.type", "must not be empty at the root"))
    metadata = (schema.get("properties") or {}).get("metadata")
    if metadata is not None:
        extra = {key for key in metadata if key not in ("type", "properties", "description")}
        names = set(metadata.get("properties") or {})
        if extra or names - {"name", "generateName"}:
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            found.append(forbidden(f"{path}.properties[metadata]", text))
    return found


def _walk(schema: Schema, path: str, structural_part: bool = True) -> Errors:
    found: Errors = []
    for name, text in _UNSUPPORTED.items():
        if schema.get(name):
            found.append(forbidden(f"{path}.{name}", text))
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(forbidden(f"{path}.uniqueItems", text))
    kind = schema.get("type", "")
    if kind and kind not in _TYPES:
        found.append(not_supported(f"{path}.type", kind, _TYPES))
    if schema.get("pattern"):
        found += _pattern(schema["pattern"], f"{path}.pattern")
    if schema.get("additionalProperties") is False:
        found.append(forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false"))
    if schema.get("properties") and schema.get("additionalProperties"):
        text = "additionalProperties and properties are mutual exclusive"
        found.append(forbidden(f"{path}.additionalProperties", text))
    found += _lists(schema, path)
    if structural_part:
        found += _structure(schema, path)
    found += _default(schema, path)
    found += _rules(schema, path)
    for name, child in (schema.get("properties") or {}).items():
        found += _walk(child, f"{path}.properties[{name}]", structural_part)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        found += _walk(values, f"{path}.additionalProperties", structural_part)
    items = schema.get("items")
    if isinstance(items, list):
        found.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    elif isinstance(items, dict):
        found += _walk(items, f"{path}.items", structural_part)
    for keyword in _LOGICAL:
        for index, child in enumerate(schema.get(keyword) or ()):
            found += _in_logic(child, f"{path}.{keyword}[{index}]", bool(schema.get(INT_OR_STRING)))
    if schema.get("not") is not None:
        found += _in_logic(schema["not"], f"{path}.not", False)
    return found


def _in_logic(schema: Schema, path: str, int_or_string: bool) -> Errors:
    found: Errors = []
    for name in _NOT_IN_LOGIC:
        value = schema.get(name)
        if value and not (int_or_string and name == "type"):
            found.append(forbidden(f"{path}.{name}", "must be empty to be structural"))
    if schema.get("additionalProperties"):
        found.append(forbidden(f"{path}.additionalProperties", "must be undefined to be structural"))
    for name in (PRESERVE, EMBEDDED, INT_OR_STRING):
        if schema.get(name):
            found.append(forbidden(f"{path}.{name}", "must be false to be structural"))
    return found


def _structure(schema: Schema, path: str) -> Errors:
    """Every part says its type."""
    kind = schema.get("type", "")
    if kind or schema.get(INT_OR_STRING) or schema.get(PRESERVE) or "$ref" in schema:
        if schema.get(INT_OR_STRING) and kind:
            return [invalid(f"{path}.type", kind, "must be empty if x-kubernetes-int-or-string is true")]
        if kind == "array" and not schema.get("items"):
            return [required(f"{path}.items", "must be specified")]
        if schema.get(EMBEDDED) and kind != "object":
            text = "must be object if x-kubernetes-embedded-resource is true"
            return [invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)]
        if schema.get(EMBEDDED) and not schema.get(PRESERVE) and not schema.get("properties"):
            text = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
            return [required(f"{path}.properties", text)]
        return []
    if path.endswith("openAPIV3Schema"):
        return []
    where = "items" if path.endswith(".items") else "object fields" if path.endswith("]") else "additionalProperties"
    return [required(f"{path}.type", f"must not be empty for specified {_WHERE[where]}")]


_WHERE = {
    "items": "array items",
    "object fields": "object fields",
    "additionalProperties": "object additionalProperties",
}


def _pattern(text: str, path: str) -> Errors:
    try:
        custom_values.pattern(text)
    except re.error as error:
        return [invalid(path, text, f"must be a valid regular expression, but isn't: {_regexp_words(text, error)}")]
    return []


def _regexp_words(text: str, error: re.error) -> str:
    """Python's complaint of a pattern in the words of Go's package regexp."""
    rest = text[error.pos or 0 :]
    if error.msg.startswith("unterminated character set"):
        return f"error parsing regexp: missing closing ]: `{rest}`"
    if error.msg.startswith("missing )"):
        return f"error parsing regexp: missing closing ): `{text}`"
    if error.msg.startswith("unbalanced parenthesis"):
        return f"error parsing regexp: unexpected ): `{text}`"
    if error.msg.startswith("nothing to repeat"):
        return f"error parsing regexp: missing argument to repetition operator: `{rest[:1]}`"
    if error.msg.startswith("bad character range"):
        return f"error parsing regexp: invalid character class range: `{rest}`"
    return f"error parsing regexp: {error.msg}: `{text}`"


def _lists(schema: Schema, path: str) -> Errors:
    found: Errors = []
    kind, list_type = schema.get("type", ""), schema.get(LIST_TYPE)
    if list_type is not None:
        if kind != "array":
            text = "must be array if x-kubernetes-list-type is specified"
            found.append(invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text))
        if list_type not in ("atomic", "set", "map"):
            found.append(not_supported(f"{path}.{LIST_TYPE}", list_type, ("atomic", "set", "map")))
    keys = schema.get(LIST_KEYS) or []
    if keys and list_type != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        found.append(
            invalid(f"{path}.{LIST_TYPE}", list_type, text) if list_type else required(f"{path}.{LIST_TYPE}", text)
        )
    items = schema.get("items") if isinstance(schema.get("items"), dict) else None
    if list_type == "map":
        found += _map_list(keys, items, path)
    if list_type == "set" and items is not None:
        found += _set_list(items, path)
    map_type = schema.get(MAP_TYPE)
    if map_type is not None:
        if map_type not in ("granular", "atomic"):
            found.append(not_supported(f"{path}.{MAP_TYPE}", map_type, ("granular", "atomic")))
        if kind != "object":
            text = "must be object if x-kubernetes-map-type is specified"
            found.append(invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text))
    return found


def _map_list(keys: list[str], items: Schema | None, path: str) -> Errors:
    if not keys:
        return [required(f"{path}.{LIST_KEYS}", "must not be empty if x-kubernetes-list-type is map")]
    if items is None:
        return [required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")]
    found: Errors = []
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        found.append(invalid(f"{path}.items.type", items.get("type", ""), text))
    properties = items.get("properties") or {}
    seen = set()
    for index, key in enumerate(keys):
        where = f"{path}.items.properties[{key}]"
        if key in seen:
            found.append(FieldError("FieldValueDuplicate", f"{path}.{LIST_KEYS}[{index}]", key))
        seen.add(key)
        if key not in properties:
            text = "entries must all be names of item properties"
            found.append(invalid(f"{path}.{LIST_KEYS}[{index}]", key, text))
            continue
        if properties[key].get("type") in ("array", "object"):
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            found.append(invalid(f"{where}.type", properties[key]["type"], text))
        if properties[key].get("nullable"):
            found.append(
                forbidden(
                    f"{where}.nullable", "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
                )
            )
        if "default" not in properties[key] and key not in (items.get("required") or ()):
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            found.append(required(f"{where}.default", text))
    return found


def _set_list(items: Schema, path: str) -> Errors:
    found: Errors = []
    if items.get("nullable"):
        found.append(forbidden(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is set"))
    kind = items.get("type", "")
    if kind == "object" and items.get(MAP_TYPE) != "atomic":
        text = "must be atomic as item of a list with x-kubernetes-list-type=set"
        found.append(invalid(f"{path}.items.{MAP_TYPE}", items.get(MAP_TYPE), text))
    if kind == "array" and items.get(LIST_TYPE) not in (None, "atomic"):
        text = "must be atomic as item of a list with x-kubernetes-list-type=set"
        found.append(invalid(f"{path}.items.{LIST_TYPE}", items.get(LIST_TYPE), text))
    return found


def _default(schema: Schema, path: str) -> Errors:
    """A default fits its schema, and has no fields that would be pruned."""
    if schema.get("default") is None:
        return []
    value = copy.deepcopy(schema["default"])
    where = f"{path}.default"
    bare: Schema = {key: item for key, item in schema.items() if key != "default"}
    if structural.prune(bare, value, bool(schema.get(EMBEDDED))):
        return [invalid(where, schema["default"], "must not have unknown fields")]
    found = []
    for error in custom_values.validate(bare, schema["default"]):
        field = where if error.field in ("", custom_values.NIL) else f"{where}.{error.field}"
        found.append(FieldError(error.type, field, error.bad_value, error.detail))
    return found


def _rules(schema: Schema, path: str) -> Errors:
    found: Errors = []
    for index, rule in enumerate(schema.get(RULES) or ()):
        where = f"{path}.{RULES}[{index}]"
        text = rule.get("rule", "")
        if not text.strip():
            found.append(required(f"{where}.rule", "rule is not specified"))
            continue
        try:
            custom_rules.program(rule, text)
        except CelError as error:
            found.append(invalid(f"{where}.rule", _shown_rule(rule), f"compilation failed: {error}"))
        message = rule.get("message")
        if message is not None and (not message.strip() or "\n" in message.strip()):
            problem = (
                "message must not be empty if specified"
                if not message.strip()
                else "message must not contain line breaks"
            )
            found.append(invalid(f"{where}.message", message, problem))
        if rule.get("messageExpression"):
            try:
                custom_rules.program(rule, rule["messageExpression"])
            except CelError as error:
                text = f"messageExpression compilation failed: {error}"
                found.append(invalid(f"{where}.messageExpression", rule["messageExpression"], text))
    return found


def _shown_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as the internal Go type is printed."""
    return {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
