"""Who may do what: role assignments, matched against the actions of role definitions.

An assignment holds at its scope and below. An action is allowed when one role's `actions`
(or `dataActions`) match it and that role's `notActions` do not (Azure RBAC documentation,
"Understand role definitions"). `*` in an action matches any characters, slashes too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azsandbox.arm import ids
from azsandbox.arm.facts import read
from azsandbox.arm.resources import Document, Resources, Stored, seconds_of

if TYPE_CHECKING:
    from azsandbox.arm.conditions import Attributes
    from azsandbox.arm.provider import Identity

ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
DEFINITIONS = "Microsoft.Authorization/roleDefinitions"


@functools.cache
def built_in() -> dict[str, Document]:
    """The built-in role definitions by their GUID (data/azure/role-definitions.json)."""
    return {role["name"]: role for role in read("role-definitions.json")["roles"]}


@functools.lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    # `/*/` covers nothing too: Managed Identity Operator has userAssignedIdentities/*/assign/action, and may assign.
    form = re.escape(text).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*")
    return re.compile(form, re.IGNORECASE)


def matches(action: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns covers the action."""
    return any(_pattern(p).fullmatch(action) for p in patterns)


@dataclass(frozen=True)
class Held:
    """A role assignment as decisions see it; `since` and `until` are seconds of the epoch."""

    stored: Stored
    principal: str
    scope: str
    role: str
    condition: str
    since: float
    until: float = float("inf")

    @classmethod
    def of(cls, stored: Stored) -> Held:
        """What a stored assignment says."""
        properties = stored.body["properties"]
        return cls(
            stored,
            properties["principalId"].lower(),
            properties["scope"],
            properties["roleDefinitionId"].rstrip("/").rsplit("/", 1)[-1].lower(),
            properties.get("condition") or "",
            seconds_of(properties["createdOn"]),
        )


class Access:
    """Answers questions about role assignments. `revision` grows whenever an assignment or a role changes."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.revision = 0
        self._read: tuple[int, dict[str, list[Held]]] = (-1, {})
        self._custom: tuple[int, dict[str, Document]] = (-1, {})
        self._ended: list[Held] = []
        resources.changed.append(self._note)

    def _note(self, stored: Stored, gone: bool) -> None:
        """Notes the change of a resource; of an assignment that is deleted, when it ended."""
        if stored.type not in (ASSIGNMENTS, DEFINITIONS):
            return
        self.revision += 1
        if gone and stored.type == ASSIGNMENTS:
            held = Held.of(stored)
            ended = Held(
                stored, held.principal, held.scope, held.role, held.condition, held.since, self._resources.seconds()
            )
            self._ended = [*self._ended[-255:], ended]

    def definition(self, role: str) -> Document | None:
        """The role with that GUID (or full id): {"name", "properties": {roleName, permissions …}}."""
        guid = role.rstrip("/").rsplit("/", 1)[-1].lower()
        if guid in built_in():
            return built_in()[guid]
        revision, custom = self._custom
        if revision != self.revision:
            custom = {stored.name.lower(): stored.body for stored in self._resources.all(DEFINITIONS)}
            self._custom = (self.revision, custom)
        return custom.get(guid)

    def _all(self) -> dict[str, list[Held]]:
        """Every assignment by its principal, read again only when one has changed."""
        revision, found = self._read
        if revision != self.revision:
            revision, found = self.revision, {}
            for stored in self._resources.all(ASSIGNMENTS):
                held = Held.of(stored)
                found.setdefault(held.principal, []).append(held)
            self._read = (revision, found)
        return found

    def held(self, principals: Iterable[str], scope: str) -> Iterator[Held]:
        """Assignments to any of the principals (an identity and its groups) that hold at `scope`."""
        everything = self._all()
        for principal in dict.fromkeys(p.lower() for p in principals):
            for held in everything.get(principal, ()):
                if ids.within(scope, held.scope):
                    yield held

    def as_known_at(self, moment: float) -> tuple[dict[str, list[Held]], float]:
        """The assignments, by principal, that a service knows whose knowledge ends at `moment` (seconds of the epoch),
        and the moment of the next change that it does not know yet (infinity without one)."""
        known: dict[str, list[Held]] = {}
        ahead = float("inf")
        ended = [h for h in self._ended if h.until > moment]
        self._ended = ended
        for held in (*(h for found in self._all().values() for h in found), *ended):
            if held.since > moment:
                ahead = min(ahead, held.since)
                continue
            if held.until != float("inf"):
                ahead = min(ahead, held.until)
            known.setdefault(held.principal, []).append(held)
        return known, ahead

    def assignments(self, principals: Iterable[str], scope: str) -> Iterator[Stored]:
        """As `held`: the stored assignments."""
        return (held.stored for held in self.held(principals, scope))

    def assigned_within(self, principals: Iterable[str], scope: str) -> bool:
        """Whether any of the principals has a role at the scope, above it or anywhere below."""
        everything = self._all()
        return any(
            ids.within(held.scope, scope) or ids.within(scope, held.scope)
            for principal in principals
            for held in everything.get(principal.lower(), ())
        )

    def permissions(self, principals: Iterable[str], scope: str) -> list[dict[str, Any]]:
        """The permissions that those assignments give at `scope`."""
        out = []
        for held in self.held(principals, scope):
            role = self.definition(held.role)
            if role:
                out += role["properties"]["permissions"]
        return out

    def permits(
        self,
        identity: Identity,
        action: str,
        scope: str,
        *,
        data: bool = False,
        attributes: Attributes | None = None,
    ) -> bool:
        """Whether `identity` may do `action` ("Microsoft.Network/virtualNetworks/write") at `scope`; `attributes` are
        what conditions may ask of the request."""
        found = self.held((identity.object_id, *identity.groups), scope)
        return self.granting(found, action, data=data, attributes=attributes) is not None

    def granting(
        self, assignments: Iterable[Held], action: str, *, data: bool = False, attributes: Attributes | None = None
    ) -> Held | None:
        """The first of `assignments` whose role, and condition, allow the action."""
        kind = "dataActions" if data else "actions"
        not_kind = "notDataActions" if data else "notActions"
        for held in assignments:
            role = self.definition(held.role)
            if role is None or not any(
                matches(action, p.get(kind, ())) and not matches(action, p.get(not_kind, ()))
                for p in role["properties"]["permissions"]
            ):
                continue
            if not held.condition or self._holds(held.condition, action, attributes):
                return held
        return None

    @staticmethod
    def _holds(condition: str, action: str, attributes: Attributes | None) -> bool:
        from azsandbox.arm.conditions import holds

        return holds(condition, action, attributes or {})
