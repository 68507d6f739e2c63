"""Linked scopes: what a body refers to elsewhere, and the right that its writer needs there.

Resource Manager asks for it at every PUT and PATCH, also for what has not changed ("LinkedAuthorizationFailed" in Azure's
troubleshooting of deployments). Which fields are asked about is in data/azure/linked-actions.json.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.facts import read


@functools.cache
def _links() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = read("linked-actions.json")["links"]
    return found


def check(call: Call, type_: str, action: str, scope: str) -> None:
    """Raises LinkedAuthorizationFailed unless the caller may do at each linked scope what is needed there."""
    links = _links().get(type_)
    if links is None or not isinstance(call.body, dict):
        return
    missing = [
        (needed, linked)
        for path, needed in links.items()
        for linked in _asked(call, path)
        if not call.arm.access.permits(call.identity, needed, linked)
    ]
    if missing:
        found = list(dict.fromkeys(missing))
        raise errors.linked_authorization_failed(call.identity.name, call.identity.object_id, action, scope, found)


def _asked(call: Call, path: str) -> Iterator[str]:
    """The scopes at a path of the body; of one behind "changed" those that the stored resource has not."""
    _, changed, bare = path.rpartition("changed ")
    current = call.current if changed else None
    before = {v.lower() for v in values(current.body, bare.split("."))} if current else set()
    return (v for v in values(call.body, bare.split(".")) if v.lower() not in before)


def values(body: Any, path: list[str]) -> Iterator[str]:
    """The texts at a path: `*` is every item of a list or an object, a final `keys` the names in an object."""
    if not path:
        if isinstance(body, str) and body:
            yield body
        return
    first, rest = path[0], path[1:]
    if first == "keys" and isinstance(body, dict):
        yield from body
    elif first == "*":
        items = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
        for item in items:
            yield from values(item, rest)
    elif isinstance(body, dict):
        found = next((value for key, value in body.items() if key.lower() == first.lower()), None)
        yield from values(found, rest)
