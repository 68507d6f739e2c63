"""What `field` names in a resource: its own words (type, name, tags …) and aliases.

An alias is the resource type and a path in it (Azure Policy documentation, "Aliases"). Azure keeps a table of all
aliases; here the path is looked for in the resource: below `properties`, unless its first part is one of the few that
stand outside of them, and through a nested `properties` where a sub-resource has one.
"""

from __future__ import annotations

import re
from typing import Any

Document = dict[str, Any]

OUTSIDE = ("sku", "identity", "kind", "zones", "plan", "managedby", "extendedlocation", "tags", "location", "etag")
WORDS = ("type", "name", "fullname", "kind", "location", "id", "tags")
_TAG = re.compile(r"tags(?:\.(?P<dot>.+)|\['(?P<quoted>.+)'\]|\[(?P<bare>.+)\])", re.IGNORECASE | re.DOTALL)


class Missing:
    """What a field that is not there has for a value."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()


def path_of(name: str, type_: str) -> str:
    """Where a field is in a resource of the type, as Azure tells in a refusal: "properties.publicNetworkAccess"."""
    if "/" not in name:
        return name
    rest = _below(name, type_)
    if rest is None:
        return name
    first = re.split(r"[.\[]", rest, maxsplit=1)[0]
    return rest if first.lower() in OUTSIDE else f"properties.{rest}"


def values(name: str, resource: Document) -> list[Any]:
    """The values that a field has: one, or one an item where its path goes through `[*]`. MISSING where it is not."""
    lower = name.lower()
    if lower in ("type", "id", "location", "kind"):
        return [_get(resource, lower)]
    if lower in ("name", "fullname"):
        id_ = str(resource.get("id") or "")
        full = "/".join(_names(id_)) if lower == "fullname" and id_ else str(resource.get("name") or "")
        return [full.rsplit("/", 1)[-1] if lower == "name" else full]
    if lower == "tags":
        return [_get(resource, "tags")]
    if found := _TAG.fullmatch(name):
        tag = found["dot"] or found["quoted"] or found["bare"]
        return [_get(resource.get("tags") or {}, tag)]
    if "/" not in name:
        return within(resource, name)
    rest = _below(name, str(resource.get("type") or ""))
    if rest is None:
        return [MISSING]
    parts = _parts(rest.replace("/", "."))
    start = resource if parts[0].lower() in OUTSIDE else resource.get("properties") or {}
    return _walk(start, parts)


def within(value: Any, path: str) -> list[Any]:
    """What stands at a path below a value, such as `ports[*].number`; MISSING for what is not there."""
    return _walk(value, _parts(path))


def is_collection(name: str) -> bool:
    """Whether a field stands for every item of an array."""
    return "[*]" in name and not _TAG.fullmatch(name)


def put(name: str, resource: Document, value: Any, *, only_missing: bool = False) -> None:
    """Sets a field that is no collection. Raises ValueError for one that cannot be set."""
    if found := _TAG.fullmatch(name):
        tag = found["dot"] or found["quoted"] or found["bare"]
        tags = resource.get("tags")
        if not isinstance(tags, dict):
            tags = resource["tags"] = {}
        key = next((k for k in tags if k.lower() == tag.lower()), tag)
        if not (only_missing and key in tags):
            tags[key] = value
        return
    if is_collection(name):
        raise ValueError(f"the field '{name}' stands for every item of an array")
    rest = _below(name, str(resource.get("type") or "")) if "/" in name else name
    if rest is None:
        return
    parts = _parts(rest.replace("/", "."))
    at = resource if parts[0].lower() in OUTSIDE or "/" not in name else resource.setdefault("properties", {})
    for part in parts[:-1]:
        key = next((k for k in at if k.lower() == part.lower()), part)
        if not isinstance(at.get(key), dict):
            at[key] = {}
        at = at[key]
    key = next((k for k in at if k.lower() == parts[-1].lower()), parts[-1])
    if not (only_missing and at.get(key) is not None):
        at[key] = value


def drop(name: str, resource: Document) -> None:
    """Removes a tag, or another field."""
    if found := _TAG.fullmatch(name):
        tag = (found["dot"] or found["quoted"] or found["bare"]).lower()
        tags = resource.get("tags") or {}
        for key in [k for k in tags if k.lower() == tag]:
            del tags[key]
        return
    put(name, resource, None)


def _names(id_: str) -> list[str]:
    tail = id_.rsplit("/providers/", 1)[-1] if "/providers/" in id_ else id_
    parts = [p for p in tail.split("/") if p]
    return parts[2::2] if "/providers/" in id_ else parts[-1:]


def _below(alias: str, type_: str) -> str | None:
    """The path of an alias in a resource of the type, None where it is an alias of another type."""
    prefix = type_.lower() + "/"
    return alias[len(prefix) :] if alias.lower().startswith(prefix) else None


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("[*]", ".[*]").split(".") if part]


def _get(document: Any, name: str) -> Any:
    if isinstance(document, dict):
        for key, value in document.items():
            if key.lower() == name.lower():
                return MISSING if value is None else value
    return MISSING


def _walk(at: Any, parts: list[str]) -> list[Any]:
    if not parts:
        return [at]
    first, *rest = parts
    if first == "[*]":
        if not isinstance(at, list):
            return []
        return [value for item in at for value in _walk(item, rest)]
    if isinstance(at, list):  # an alias of old, which stands for whatever items have
        return [value for item in at for value in _walk(item, parts)]
    found = _get(at, first)
    if isinstance(found, Missing) and isinstance(at, dict) and isinstance(at.get("properties"), dict):
        found = _get(at["properties"], first)
    if isinstance(found, Missing):
        return [] if "[*]" in rest else [MISSING]
    return _walk(found, rest)
