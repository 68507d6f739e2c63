"""JSON that clients send, for the services that are not Kubernetes: what is nested too deeply is refused as it is read.

What a body holds is walked by functions that call themselves. Beyond some hundreds of levels they, and the writer of
JSON, run out of stack, after the body was taken for good.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

MOST_NESTED = 100  # levels; the sandbox's own choice, more than any resource of Azure has


def parse(text: bytes | str) -> Any:
    """The value of a JSON text. Raises json.JSONDecodeError for what is none, or is nested too deeply."""
    found = orjson.loads(text)
    if _openings(text) > MOST_NESTED and _is_deep(found):
        raise json.JSONDecodeError(f"Objects and arrays are nested more than {MOST_NESTED} levels deep", "", 0)
    return found


def _openings(text: bytes | str) -> int:
    if isinstance(text, str):
        return text.count("{") + text.count("[")
    return text.count(b"{") + text.count(b"[")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_NESTED + 1):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
