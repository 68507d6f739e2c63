"""CDEvents, as Receivers of that type take them: the type must be known, context and subject complete.

The content of each type's subject is not checked against its schema.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from functools import cache
from typing import Any

from azsandbox.flux import facts

_CUSTOM = re.compile(r"[a-zA-Z0-9]+-[a-zA-Z]+\.[a-zA-Z]+\.\d+\.\d+\.\d+\S*")
_TYPE = re.compile(r"([a-z]+\.[a-z]+)\.(\d+)(\.\d+\.\d+\S*)")
_CONTEXT = ("version", "id", "source", "type", "timestamp")
_SUBJECT = ("id", "type")


@cache
def _known() -> dict[str, str]:
    """The version of each event type that the SDK knows, by `subject.predicate`."""
    pairs = (name.split(".", 2) for name in facts.cdevents()["types"])
    return {f"{subject}.{predicate}": version for subject, predicate, version in pairs}


def validate(body: bytes) -> None:
    """Raises ValueError for what is no CDEvent."""
    event = json.loads(body)
    if not isinstance(event, dict):
        raise ValueError("json: cannot unmarshal into Go value of type struct")
    context, subject = event.get("context"), event.get("subject")
    _check_type(context.get("type") if isinstance(context, dict) else None)
    for name, part, fields in (("context", context, _CONTEXT), ("subject", subject, _SUBJECT)):
        missing = [key for key in fields if not (isinstance(part, dict) and _is_text(part.get(key)))]
        if missing:
            raise ValueError(f"{name}: missing or empty properties: {', '.join(missing)}")
    if not isinstance(subject.get("content"), dict):  # type: ignore[union-attr]
        raise ValueError("subject: missing properties: content")
    dt.datetime.fromisoformat(str(context["timestamp"]).replace("Z", "+00:00"))  # type: ignore[index]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _check_type(kind: Any) -> None:
    known = facts.cdevents()
    text = str(kind or "")
    if text.startswith(known["custom"]) and _CUSTOM.fullmatch(text.removeprefix(known["custom"])):
        return
    found = _TYPE.fullmatch(text.removeprefix(known["prefix"])) if text.startswith(known["prefix"]) else None
    if found is None:
        raise ValueError(f"cannot parse event type {text}")
    name, major = found.group(1), found.group(2)
    if name not in _known():
        raise ValueError(f"unknown event type {text}")
    if major != _known()[name].partition(".")[0]:
        raise ValueError(f"sdk event version {_known()[name]} not compatible with {major}{found.group(3)}")
