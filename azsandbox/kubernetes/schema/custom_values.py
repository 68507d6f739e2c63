"""Custom resources checked against their schema, in the words of the API server.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/validation and schema/listtype; k8s.io/kube-openapi,
pkg/validation. A value that an update leaves as it was is not checked again (ratcheting).
"""

from __future__ import annotations

from typing import Any

from azsandbox import patterns
from azsandbox.kubernetes.apply.typed import ABSENT
from azsandbox.kubernetes.schema import string_formats
from azsandbox.kubernetes.schema.json_text import number
from azsandbox.kubernetes.schema.structural import INT_OR_STRING, LIST_KEYS, LIST_TYPE, Schema, below
from azsandbox.kubernetes.validation.errors import (
    TYPE_INVALID,
    FieldError,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)

NIL = "<nil>"  # the path of an error that belongs to no field


def validate(schema: Schema | None, value: Any, old: Any = ABSENT, path: str = "") -> list[FieldError]:
    """Errors of a value; with `old`, what did not change is taken as it is."""
    if not schema or (old is not ABSENT and _same(value, old)):
        return []
    if value is None and schema.get("nullable"):
        return []
    found = _type(schema, value, path)
    found += _logic(schema, value, path)
    if isinstance(value, str):
        found += _string(schema, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found += _number(schema, value, path)
    elif isinstance(value, list):
        found += _list(schema, value, old, path)
    enum = schema.get("enum")
    if enum and not any(_same(value, item) for item in enum):
        found.append(not_supported(path or NIL, value, [_enum_text(item) for item in enum]))
    if isinstance(value, dict):
        found += _object(schema, value, old, path)
    return found


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _enum_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def json_type(value: Any) -> str:
    """The JSON type of a value, with integers apart from other numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "integer" if isinstance(value, int) or float(value).is_integer() else "number"


def _type(schema: Schema, value: Any, path: str) -> list[FieldError]:
    kinds = ("integer", "string") if schema.get(INT_OR_STRING) else tuple(filter(None, (schema.get("type"),)))
    if not kinds:
        return []
    found = json_type(value)
    if found in kinds or (found == "integer" and "number" in kinds):
        return []
    return [
        FieldError(TYPE_INVALID, path or NIL, found, f'{path} in body must be of type {",".join(kinds)}: "{found}"')
    ]


def _logic(schema: Schema, value: Any, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    shown = f'"{path}" must'

    def error(text: str) -> FieldError:
        return invalid(NIL, "", f"{shown} {text}")

    any_of = schema.get("anyOf")
    if any_of and not schema.get(INT_OR_STRING):
        results = [validate(item, value, path=path) for item in any_of]
        if all(results):
            found += [error("validate at least one schema (anyOf)"), *min(results, key=len)]
    one_of = schema.get("oneOf")
    if one_of:
        results = [validate(item, value, path=path) for item in one_of]
        valid = sum(not result for result in results)
        if not valid:
            found += [error("validate one and only one schema (oneOf). Found none valid"), *min(results, key=len)]
        elif valid > 1:
            found.append(error(f"validate one and only one schema (oneOf). Found {valid} valid alternatives"))
    all_of = schema.get("allOf")
    if all_of and not schema.get(INT_OR_STRING):
        results = [validate(item, value, path=path) for item in all_of]
        failed = [result for result in results if result]
        if failed:
            for result in failed:
                found += result
            none = " None validated" if len(failed) == len(results) else ""
            found.append(error(f"validate all the schemas (allOf).{none}"))
    denied = schema.get("not")
    if denied is not None and not validate(denied, value, path=path):
        found.append(error("not validate the schema (not)"))
    return found


def _string(schema: Schema, value: str, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    where = path or NIL
    longest, shortest, wanted = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if longest is not None and len(value) > longest:  # of these three the first that does not hold is said
        found.append(too_long(where, longest))
    elif shortest is not None and len(value) < shortest:
        found.append(invalid(where, value, f"{path} in body should be at least {shortest} chars long"))
    elif wanted and not patterns.compiled(wanted).matches(value):
        found.append(invalid(where, value, f"{path} in body should match '{wanted}'"))
    form = schema.get("format")
    if form and not string_formats.matches(form, value):
        found.append(FieldError(TYPE_INVALID, where, value, f'{path} in body must be of type {form}: "{value}"'))
    return found


def _number(schema: Schema, value: float, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    where = path or NIL
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9:
        found.append(invalid(where, value, f"{path} in body should be a multiple of {number(step)}"))
    highest, lowest = schema.get("maximum"), schema.get("minimum")
    if highest is not None:
        exclusive = schema.get("exclusiveMaximum")
        if value > highest or (exclusive and value == highest):
            text = "less than" if exclusive else "less than or equal to"
            found.append(invalid(where, value, f"{path} in body should be {text} {number(highest)}"))
    if lowest is not None:
        exclusive = schema.get("exclusiveMinimum")
        if value < lowest or (exclusive and value == lowest):
            text = "greater than" if exclusive else "greater than or equal to"
            found.append(invalid(where, value, f"{path} in body should be {text} {number(lowest)}"))
    return found


def _list(schema: Schema, value: list[Any], old: Any, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    where = path or NIL
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            found += validate(items, item, old_item(schema, old, index, item), f"{path}[{index}]")
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    if fewest is not None and len(value) < fewest:
        found.append(invalid(where, len(value), f"{path} in body should have at least {fewest} items"))
    if most is not None and len(value) > most:
        found.append(too_many(where, len(value), most))
    return found


def old_item(schema: Schema, old: Any, index: int, item: Any) -> Any:
    """What an element was before: the one with its keys in a list of type map, else ABSENT."""
    if not isinstance(old, list):
        return ABSENT
    if schema.get(LIST_TYPE) == "map" and isinstance(item, dict):
        keys = schema.get(LIST_KEYS) or ()
        for other in old:
            if isinstance(other, dict) and all(other.get(key) == item.get(key) for key in keys):
                return other
        return ABSENT
    return ABSENT


def _object(schema: Schema, value: dict[str, Any], old: Any, path: str) -> list[FieldError]:
    where = path or NIL
    fewest, most = schema.get("minProperties"), schema.get("maxProperties")
    if fewest is not None and len(value) < fewest:
        return [invalid(where, len(value), f"{path} in body should have at least {fewest} properties")]
    if most is not None and len(value) > most:
        return [too_many(where, len(value), most)]
    found: list[FieldError] = []
    olds = old if isinstance(old, dict) else {}
    properties = schema.get("properties") or {}
    values = schema.get("additionalProperties")
    for name in sorted(value):
        child = properties.get(name)
        if child is None:
            child = values if isinstance(values, dict) else None
        found += validate(child, value[name], olds.get(name, ABSENT), f"{path}.{name}" if path else name)
    for name in schema.get("required") or ():
        if name not in value:
            found.append(required(f"{path}.{name}" if path else name))
    return found


def validate_lists(schema: Schema | None, value: Any, path: str = "") -> list[FieldError]:
    """Elements that occur twice in lists of type set or map."""
    if not schema or not below(schema).lists:
        return []
    found: list[FieldError] = []
    if isinstance(value, dict):
        values = schema.get("additionalProperties")
        for name, item in value.items():
            child = (schema.get("properties") or {}).get(name) or (values if isinstance(values, dict) else None)
            found += validate_lists(child, item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        kind, seen = schema.get(LIST_TYPE), []
        for index, item in enumerate(value):
            shown = item
            if kind == "map" and isinstance(item, dict):
                shown = {key: item.get(key) for key in schema.get(LIST_KEYS) or () if key in item}
            if kind in ("map", "set"):
                if shown in seen:
                    found.append(duplicate(f"{path}[{index}]", shown))
                seen.append(shown)
            items = schema.get("items")
            if isinstance(items, dict):
                found += validate_lists(items, item, f"{path}[{index}]")
    return found
