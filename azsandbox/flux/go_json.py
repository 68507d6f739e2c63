"""JSON as Go's encoding/json writes it: what digests of releases, patches and specs are made of."""

from __future__ import annotations

import json
from typing import Any

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def write(value: Any) -> str:
    """A value as json.Marshal writes it: keys of `value` in the order that they have, no spaces, HTML escaped."""
    text = json.dumps(_whole(value), ensure_ascii=False, separators=(",", ":"))
    for character, escape in _ESCAPED.items():
        if character in text:
            text = text.replace(character, escape)
    return text


def in_order(value: Any) -> Any:
    """The same with the keys of every map in order, as Go writes a map."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def _whole(value: Any) -> Any:
    """Go writes a whole float64 as an integer."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value
