"""JSON merge patch, RFC 7386."""

from __future__ import annotations

from typing import Any


def apply(current: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`current` with the patch merged in: null removes a key, objects merge, anything else replaces.

    The keys of objects that were touched are sorted, as Go writes them.
    """
    merged = dict(current)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = apply(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return dict(sorted(merged.items()))
