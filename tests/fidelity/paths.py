"""Paths into JSON values: `items[0].metadata.name`, `conditions[type=Ready].reason`, `labels."a/b"`, `items[*].x`."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r'"([^"]+)"|\[([^\]]*)\]|([^.\["]+)')
Step = tuple[str, str]  # (kind, text): a key, an index, every item, or the item that has a value


def parse(path: str) -> list[Step]:
    """The steps of a path."""
    steps: list[Step] = []
    for quoted, bracket, plain in _TOKEN.findall(path):
        if bracket == "*":
            steps.append(("every", ""))
        elif "=" in bracket:
            steps.append(("match", bracket))
        elif bracket:
            steps.append(("index", bracket))
        else:
            steps.append(("key", quoted or plain))
    return steps


def look(value: Any, path: str) -> Any:
    """What `path` leads to, None where there is nothing."""
    for step in parse(path):
        value = _into(value, step)
        if value is None:
            return None
    return value


def _into(value: Any, step: Step) -> Any:
    kind, text = step
    if kind == "key" and not (text.isdigit() and isinstance(value, list)):  # Azure's cases write value.0.name
        return value.get(text) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    if kind in ("index", "key"):
        index = int(text)
        return value[index] if -len(value) <= index < len(value) else None
    key, _, wanted = text.partition("=")
    return next((item for item in value if str(look(item, key)) == wanted), None)


def drop(value: Any, path: str) -> None:
    """Takes away what `path` leads to, if it is there."""
    _drop(value, parse(path))


def _drop(value: Any, steps: list[Step]) -> None:
    (kind, text), rest = steps[0], steps[1:]
    if kind == "every":
        for item in value if rest and isinstance(value, list) else ():
            _drop(item, rest)
    elif rest:
        _drop(_into(value, steps[0]), rest)
    elif kind == "key" and isinstance(value, dict):
        value.pop(text, None)
    elif kind == "index" and isinstance(value, list) and int(text) < len(value):
        del value[int(text)]
