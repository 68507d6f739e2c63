"""Looking keys up as Azure means them: without regard to case, and through objects that may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def at(value: Any, path: str) -> Any:
    """What is at `path` (keys joined by dots) below `value`, or None.

    Keys are compared without regard to case: the CLI and older API versions write enableAzureRbac where newer ones
    write enableAzureRBAC (baseline catalogue, section 0.2).
    """
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        if key in value:
            value = value[key]
            continue
        low = key.lower()
        value = next((found for name, found in value.items() if str(name).lower() == low), None)
    return value


def same(one: object, other: object) -> bool:
    """Equal as Azure compares enum values, ids and types: without regard to case."""
    return str(one or "").lower() == str(other or "").lower()


def is_on(value: object) -> bool:
    """True, or the text that stands for it in an add-on's configuration."""
    return value is True or str(value).lower() == "true"
