"""The events that Flux's controllers post: what their metadata mean, and how they are written (apis/event/v1beta1)."""

from __future__ import annotations

import json
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.events import EVENT_GROUP

INFO, ERROR = "info", "error"
PROGRESSING = "Progressing"
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ORDER = (
    "involvedObject",
    "severity",
    "timestamp",
    "message",
    "reason",
    "metadata",
    "reportingController",
    "reportingInstance",
)
_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def posted(body: bytes) -> Object:
    """An event as a client posts it, with all its fields. Raises ValueError for what is none."""
    given = _object(json.loads(body), "an event")
    about, told = (_object(given.get(key), key) for key in ("involvedObject", "metadata"))
    event: Object = {key: _text(given, key) for key in _ORDER if key not in ("involvedObject", "metadata")}
    event["involvedObject"] = {key: _text(about, key) for key in _REFERENCE}
    event["metadata"] = {key: _text(told, key) for key in told}
    return event


def _object(value: Any, what: str) -> Object:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{what} is no object")
    return value or {}


def _text(found: Object, key: str) -> str:
    value = found.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return value or ""


def group_of(event: Object) -> str:
    """The API group of the object that an event is about; its controller's metadata keys begin with it."""
    version = str(event["involvedObject"].get("apiVersion") or "")
    return version.rpartition("/")[0]


def involved(event: Object) -> str:
    """`Kind/namespace/name` of the object that an event is about."""
    about = event["involvedObject"]
    return f"{about.get('kind', '')}/{about.get('namespace', '')}/{about.get('name', '')}"


def titled(event: Object) -> str:
    """`kind/name.namespace`, the title of most messages."""
    about = event["involvedObject"]
    return f"{about['kind'].lower()}/{about['name']}.{about['namespace']}"


def metadata(event: Object) -> dict[str, str]:
    """The metadata of an event, sorted by key."""
    return dict(sorted((event.get("metadata") or {}).items()))


def is_commit_status_update(event: Object) -> bool:
    """Whether an event is there for nothing but the status of a commit."""
    return metadata(event).get(f"{group_of(event)}/commit_status") == "update"


def has_key(event: Object, key: str) -> bool:
    """Whether the event's object was annotated with a key of the event group."""
    return bool(metadata(event).get(f"{EVENT_GROUP}/{key}"))


def revision(event: Object) -> str | None:
    """The revision that an event is about, of the keys that may hold one."""
    found = metadata(event)
    return next((found[key] for key in ("commit", "originRevision", "revision") if key in found), None)


def ordered(event: Object) -> Object:
    """An event with its fields in the order in which Flux writes them."""
    about = event["involvedObject"]
    whole = {
        **event,
        "involvedObject": {key: about[key] for key in _REFERENCE if about.get(key)},
        "metadata": metadata(event),
    }
    optional = ("metadata", "reportingInstance")
    return {key: whole.get(key, "") for key in _ORDER if whole.get(key) or key not in optional}


def go_json(value: Any) -> bytes:
    """JSON as Go's encoding/json writes it: no spaces, and the characters that matter to HTML escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escaped in _HTML.items():
        text = text.replace(character, escaped)
    return text.encode()
