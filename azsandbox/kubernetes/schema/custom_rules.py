"""x-kubernetes-validations: the CEL rules of a custom resource's schema.

Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema/cel.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from typing import Any

from azsandbox.kubernetes.apply.typed import ABSENT
from azsandbox.kubernetes.schema.cel import CelError, compiled
from azsandbox.kubernetes.schema.custom_values import NIL, json_type, old_item
from azsandbox.kubernetes.schema.structural import EMBEDDED, RULES, Schema, below
from azsandbox.kubernetes.validation.errors import (
    DUPLICATE,
    FORBIDDEN,
    INVALID,
    REQUIRED,
    FieldError,
    invalid,
    required,
)

_VARIABLES = ("self", "oldSelf", "__old", "__hasOld")
_OPTIONAL = "cel.bind(oldSelf, __hasOld ? optional.of(__old) : optional.none(), %s)"
_USES_OLD = re.compile(r"\boldSelf\b")
_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)


def escaped(name: str) -> str:
    """A property's name as expressions write it."""
    if name in _RESERVED:
        return f"__{name}__"
    text = re.sub("__", "__underscores__", name)
    return text.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")


def native(schema: Schema | None, value: Any, root: bool = False) -> Any:
    """A value as CEL sees it: numbers by their type, times and durations by their format, names escaped."""
    schema = schema or {}
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        values = schema.get("additionalProperties")
        found = {}
        for name, item in value.items():
            if name in properties:
                found[escaped(name)] = native(properties[name], item)
            else:
                found[name] = native(values if isinstance(values, dict) else None, item)
        if root or schema.get(EMBEDDED):
            metadata = value.get("metadata") or {}
            found["metadata"] = {key: metadata[key] for key in ("name", "generateName") if key in metadata}
        return found
    if isinstance(value, list):
        items = schema.get("items")
        return [native(items if isinstance(items, dict) else None, item) for item in value]
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _formatted(schema.get("format", ""), value)
    return value


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _formatted(form: str, text: str) -> Any:
    try:
        if form == "date-time":
            return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if form == "date":
            return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        if form == "byte":
            return base64.b64decode(text)
        if form == "duration":
            parts = re.findall(r"([\d.]+)(h|ms|us|µs|ns|m|s)", text)
            seconds = sum(float(amount) * _UNITS[unit] for amount, unit in parts)
            return dt.timedelta(seconds=-seconds if text.startswith("-") else seconds)
    except ValueError:
        return text
    return text


def validate_rules(
    schema: Schema | None, value: Any, old: Any = ABSENT, path: str = "", root: bool = True
) -> list[FieldError]:
    """Errors of the rules of a schema and of all below it. Rules over `oldSelf` run only where there was a value."""
    if not schema or value is None or not below(schema).rules:
        return []
    found: list[FieldError] = []
    rules = schema.get(RULES)
    if rules:
        found += _at(schema, rules, value, old, path, root)
    if isinstance(value, dict):
        olds = old if isinstance(old, dict) else {}
        properties = schema.get("properties") or {}
        values = schema.get("additionalProperties")
        for name in sorted(value):
            child = properties.get(name) or (values if isinstance(values, dict) else None)
            if child:
                here = f"{path}.{name}" if path else name
                found += validate_rules(child, value[name], olds.get(name, ABSENT), here, False)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            before = old_item(schema, old, index, item)
            found += validate_rules(schema["items"], item, before, f"{path}[{index}]", False)
    return found


def has_rules(schema: Any) -> bool:
    """Whether there is a rule anywhere in a schema."""
    return below(schema).rules


def program(rule: dict[str, Any], text: str) -> Any:
    """A rule's expression, compiled. Raises CelError."""
    return compiled(_OPTIONAL % f"({text})" if rule.get("optionalOldSelf") else text, _VARIABLES)


def _at(schema: Schema, rules: list[dict[str, Any]], value: Any, old: Any, path: str, root: bool) -> list[FieldError]:
    found: list[FieldError] = []
    bindings: dict[str, Any] | None = None
    for rule in rules:
        text = rule["rule"]
        transition = _USES_OLD.search(text) is not None
        if transition and old is ABSENT and not rule.get("optionalOldSelf"):
            continue
        if bindings is None:
            before = None if old is ABSENT else native(schema, old, root)
            bindings = {"self": native(schema, value, root), "oldSelf": before, "__old": before}
            bindings["__hasOld"] = old is not ABSENT
        if not transition and old is not ABSENT and old == value:
            continue  # what did not change is not judged again
        try:
            if program(rule, text).run(bindings) is True:
                continue
        except CelError as error:
            detail = f"{error} evaluating rule: {_shown(rule)}"
            found.append(invalid(path or NIL, _type_or_value(value), detail))
            continue
        found.append(_refusal(rule, value, bindings, path))
    return found


def _shown(rule: dict[str, Any]) -> str:
    return str(rule.get("message") or rule["rule"]).strip()


def _type_or_value(value: Any) -> Any:
    return json_type(value) if isinstance(value, (dict, list)) else value


def _refusal(rule: dict[str, Any], value: Any, bindings: dict[str, Any], path: str) -> FieldError:
    message = ""
    if rule.get("messageExpression"):
        try:
            result = program(rule, rule["messageExpression"]).run(bindings)
            if isinstance(result, str) and result.strip() and "\n" not in result.strip():
                message = result.strip()
        except CelError:
            message = ""
    message = message or (rule.get("message") or "").strip() or f"failed rule: {rule['rule'].strip()}"
    field = path + (rule.get("fieldPath") or "") if path else (rule.get("fieldPath") or "").removeprefix(".") or NIL
    reason = rule.get("reason") or INVALID
    if reason == FORBIDDEN:
        return FieldError(FORBIDDEN, field, "", message)
    if reason == REQUIRED:
        return required(field, message)
    shown = _OMITTED if isinstance(value, (dict, list)) or rule.get("fieldPath") else value
    if reason == DUPLICATE:
        return FieldError(DUPLICATE, field, shown)
    return invalid(field, shown, message)


def _omitted() -> Any:
    from azsandbox.kubernetes.validation import errors

    return errors._OMITTED


_OMITTED = _omitted()
