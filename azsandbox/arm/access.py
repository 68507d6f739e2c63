"""Who may do what: role assignments, matched against the actions of role definitions.

An assignment holds at its scope and below. An action is allowed when one role's `actions`
(or `dataActions`) match it and that role's `notActions` do not (Azure RBAC documentation,
"Understand role definitions"). `*` in an action matches any characters, slashes too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from azsandbox.arm import ids
from azsandbox.arm.facts import read
from azsandbox.arm.resources import Document, Resources, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Identity

ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
DEFINITIONS = "Microsoft.Authorization/roleDefinitions"


@functools.cache
def built_in() -> dict[str, Document]:
    """The built-in role definitions by their GUID (data/azure/role-definitions.json)."""
    return {role["name"]: role for role in read("role-definitions.json")["roles"]}


@functools.lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE)


def matches(action: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns covers the action."""
    return any(_pattern(p).fullmatch(action) for p in patterns)


class Access:
    """Answers questions about role assignments."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._held: tuple[int, list[tuple[str, str, Stored]]] = (-1, [])

    def definition(self, role: str) -> Document | None:
        """The role with that GUID (or full id): {"name", "properties": {roleName, permissions …}}."""
        guid = role.rstrip("/").rsplit("/", 1)[-1].lower()
        if guid in built_in():
            return built_in()[guid]
        found = next((s for s in self._resources.all(DEFINITIONS) if s.name.lower() == guid), None)
        return found.body if found else None

    def _all(self) -> list[tuple[str, str, Stored]]:
        """Every assignment with its principal and scope, read again only when the bucket has changed."""
        revision, held = self._held
        if revision != self._resources.bucket.revision:
            held = [
                (s.body["properties"]["principalId"].lower(), s.body["properties"]["scope"], s)
                for s in self._resources.all(ASSIGNMENTS)
            ]
            self._held = (self._resources.bucket.revision, held)
        return held

    def assignments(self, principals: Iterable[str], scope: str) -> Iterator[Stored]:
        """Assignments to any of the principals (an identity and its groups) that hold at `scope`."""
        wanted = {p.lower() for p in principals}
        for principal, held_at, stored in self._all():
            if principal in wanted and ids.within(scope, held_at):
                yield stored

    def assigned_within(self, principals: Iterable[str], scope: str) -> bool:
        """Whether any of the principals has a role at the scope, above it or anywhere below."""
        wanted = {p.lower() for p in principals}
        return any(
            principal in wanted and (ids.within(held_at, scope) or ids.within(scope, held_at))
            for principal, held_at, _ in self._all()
        )

    def permissions(self, principals: Iterable[str], scope: str) -> list[dict[str, Any]]:
        """The permissions that those assignments give at `scope`."""
        out = []
        for stored in self.assignments(principals, scope):
            role = self.definition(stored.body["properties"]["roleDefinitionId"])
            if role:
                out += role["properties"]["permissions"]
        return out

    def permits(self, identity: Identity, action: str, scope: str, *, data: bool = False) -> bool:
        """Whether `identity` may do `action` ("Microsoft.Network/virtualNetworks/write") at `scope`."""
        kind = "dataActions" if data else "actions"
        not_kind = "notDataActions" if data else "notActions"
        return any(
            matches(action, p.get(kind, [])) and not matches(action, p.get(not_kind, []))
            for p in self.permissions((identity.object_id, *identity.groups), scope)
        )
