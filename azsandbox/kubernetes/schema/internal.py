"""Objects as Kubernetes' internal Go types print them: error texts show those, not the JSON that clients send.

An internal type has no JSON tags: every field is there, in the order of the struct, under its Go name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

_SECURITY = {"HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers"}


@cache
def _shapes() -> Mapping[str, list[list[str]]]:
    found = files("azsandbox") / "data" / "kubernetes" / "1.35" / "internal-types.json"
    shapes: Mapping[str, list[list[str]]] = orjson.loads(found.read_bytes())["types"]
    return shapes


def shown(value: Any, shape: str) -> Any:
    """A JSON value as the internal type `shape` ("core.PodSpec") would be printed."""
    return _render(value, f"#{shape}")


def _render(value: Any, kind: str) -> Any:
    if kind.startswith("*"):
        return None if value is None else _render(value, kind[1:])
    if kind.startswith("[]"):
        return None if value is None else [_render(item, kind[2:]) for item in value]
    if kind.startswith("{}"):
        return None if value is None else {key: _render(value[key], kind[2:]) for key in sorted(value)}
    if kind.startswith("#"):
        return _struct(value or {}, kind[1:])
    if kind == "tagged:Quantity":
        return str(Quantity.parse(value or 0))
    if kind.startswith("tagged:"):
        return value if value is not None else _EMPTY.get(kind[7:])
    return _ZERO[kind] if value is None and kind in _ZERO else value


_EMPTY: dict[str, Any] = {"IntOrString": 0, "LabelSelector": {}, "ObjectMeta": {}}
_ZERO: dict[str, Any] = {"s": "", "b": False, "n": 0}


def _struct(value: Object, shape: str) -> Object:
    by_name = {key.lower(): item for key, item in value.items()}
    if shape == "core.PodSpec":
        return _pod_spec(value, by_name)
    if shape == "core.PodSecurityContext":
        by_name = {key.lower(): item for key, item in value.items()}
    found = {name: _render(by_name.get(name.lower()), kind) for name, kind, tag in _shapes()[shape] if not tag}
    tags = [(tag.partition(",")[0], kind) for _, kind, tag in _shapes()[shape] if tag]
    return {**_embedded(value.get("metadata") or {}, tags), **found} if tags else found


def _embedded(metadata: Object, tags: list[tuple[str, str]]) -> Object:
    """Metadata that a struct embeds: it alone has JSON tags, and leaves out what is empty."""
    return {name: _render(metadata[name], kind) for name, kind in tags if metadata.get(name)}


def _json_name(name: str, tag: str) -> str:
    return (tag.partition(",")[0] or name).lower()


def _pod_spec(value: Object, by_name: Object) -> Object:
    """The internal pod has what concerns the host in its security context."""
    context = dict(value.get("securityContext") or {}) if value.get("securityContext") is not None else None
    host = {key: value[key] for key in value if key.lower() in {name.lower() for name in _SECURITY}}
    if context is not None or host:
        by_name = {**by_name, "securitycontext": {**(context or {}), **host}}
    return {name: _render(by_name.get(_json_name(name, tag)), kind) for name, kind, tag in _shapes()["core.PodSpec"]}


def difference(old: Any, new: Any, shape: str) -> str:
    """What changed between two values, as a unified diff of their internal types; `shape` may be of a list, "[]#…"."""
    kind = shape if shape.startswith("[]") else f"#{shape}"
    texts = [json.dumps(_render(value, kind), indent=1, ensure_ascii=False) for value in (old, new)]
    before, after = ([f"{line}\n" for line in text.split("\n")] for text in texts)
    return "".join(list(difflib.unified_diff(before, after, "", "", n=3))[2:])
