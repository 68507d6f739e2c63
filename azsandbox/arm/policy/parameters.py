"""Values of parameters against what a definition declares, with Azure's refusals."""

from __future__ import annotations

import json
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.policy import expressions

Document = dict[str, Any]
TYPES = ("String", "Array", "Object", "Boolean", "Integer", "Float", "DateTime")


def declared(raw: Any) -> Document:
    """The parameters of a definition with their types as Azure writes them. Raises InvalidPolicyParameters."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'parameters must be an object.'."
        )
    out: Document = {}
    for name, entry in raw.items():
        if not isinstance(entry, dict) or not entry.get("type"):
            text = f"The policy parameter '{name}' has no type. Expected one of: {', '.join(TYPES)}."
            raise errors.ArmError(400, "InvalidPolicyParameters", text)
        type_ = next((t for t in TYPES if t.lower() == str(entry["type"]).lower()), None)
        if type_ is None:
            text = (
                "The request content was invalid and could not be deserialized: 'Error converting value "
                f"\"{entry['type']}\" to type 'PolicyParameterType'. Path 'properties.parameters.{name}.type'.'."
            )
            raise errors.invalid_content(text)
        out[name] = {**entry, "type": type_}
        default = entry.get("defaultValue")
        if default is not None and not _fits(default, type_):
            raise errors.ArmError(
                400,
                "InvalidPolicyParameters",
                f"The policy parameter '{name}' default value does not match the expected parameter type defined in the "
                f"policy definition. Details 'The expected policy parameter type: '{type_}'. The actual policy parameter "
                f"type '{kind_of(default)}'.'.",
            )
    return out


def values(raw: Any) -> Document:
    """{"name": {"value": …}} as name → value. Raises InvalidRequestContent for another form."""
    if raw is None:
        return {}
    if not isinstance(raw, dict) or any(not isinstance(v, dict) or "value" not in v for v in raw.values()):
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'Each parameter must be an object with a "
            "value. Path 'properties.parameters'.'."
        )
    return {name: entry["value"] for name, entry in raw.items()}


def check(what: str, name: str, given: Document, parameters: Document, definition: str, version: str = "") -> None:
    """Raises what Azure says of values that a definition does not declare, lacks, or does not allow.

    `what` is "policy assignment" or "policy set definition", `name` its name; `version` is told by newer api-versions.
    """
    known = {p.lower() for p in parameters}
    using = f" using version '{version}'" if version else ""
    if extra := [p for p in given if p.lower() not in known]:
        raise errors.ArmError(
            400,
            "UndefinedPolicyParameter",
            f"The {what} '{name}' is attempting to assign the parameter(s) '{','.join(extra)}' which are not defined in "
            f"the policy definition '{definition}'{using}.",
        )
    have = {p.lower() for p in given}
    if lacking := [p for p, e in parameters.items() if p.lower() not in have and "defaultValue" not in e]:
        raise errors.ArmError(
            400,
            "MissingPolicyParameter",
            f"The {what} '{name}' is missing the parameter(s) '{','.join(lacking)}' as defined in the policy definition "
            f"'{definition}'{using}.",
        )
    for parameter, value in given.items():
        entry = next(e for p, e in parameters.items() if p.lower() == parameter.lower())
        if not expressions.is_expression(value):
            check_value(parameter, value, entry, definition, version)


def check_value(name: str, value: Any, entry: Document, definition: str, version: str = "") -> None:
    """Raises what Azure says of one value that has another type, or is not among those allowed."""
    if not _fits(value, entry["type"]):
        raise errors.ArmError(
            400,
            "InvalidPolicyParameters",
            f"The value of the policy parameter '{name}' does not match the expected parameter type defined in the policy "
            f"definition '{definition}'. Details 'The expected policy parameter type: '{entry['type']}'. The actual policy "
            f"parameter type '{kind_of(value)}'.'.",
        )
    allowed = entry.get("allowedValues")
    if allowed is None:
        return
    wrong = [v for v in value if v not in allowed] if isinstance(value, list) else [] if value in allowed else [value]
    if wrong:
        shown = f"{definition} version {version}" if version else definition
        raise errors.ArmError(
            400,
            "PolicyParameterValueNotAllowed",
            f"The value '{_shown(wrong[0])}' is not allowed for policy parameter '{name}' in policy definition '{shown}'. "
            f"The allowed values are '{', '.join(_shown(v) for v in allowed)}'.",
        )


def bound(given: Document, parameters: Document) -> Document:
    """The value that each declared parameter has: the given one, else the default."""
    out = {}
    lower = {name.lower(): value for name, value in given.items()}
    for name, entry in parameters.items():
        out[name] = lower.get(name.lower(), entry.get("defaultValue"))
    return out


def kind_of(value: Any) -> str:
    """The type of a value in Azure's words."""
    if isinstance(value, bool):
        return "Boolean"
    return {str: "String", list: "Array", dict: "Object", int: "Integer", float: "Float"}.get(type(value), "Null")


def _fits(value: Any, type_: str) -> bool:
    if expressions.is_expression(value):
        return True
    found = kind_of(value)
    if type_ == "DateTime":
        return found == "String"
    if type_ == "Float":
        return found in ("Float", "Integer")
    return found == type_ or (found == "String" and type_ in ("Integer", "Boolean") and _reads(str(value), type_))


def _reads(value: str, type_: str) -> bool:
    return value.lower() in ("true", "false") if type_ == "Boolean" else value.lstrip("-").isdigit()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
