"""Which definitions hold for a resource: by assignments at its scope and above, without what is excluded or exempt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azsandbox.arm import ids
from azsandbox.arm.policy import definitions, expressions, parameters
from azsandbox.arm.policy.built_in import ASSIGNMENTS, EXEMPTIONS, KUBERNETES
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

SELECTORS = ("resourceLocation", "resourceType", "resourceWithoutLocation", "policyDefinitionReferenceId")


@dataclass(frozen=True)
class Policy:
    """One definition with the values that an assignment gives it; `initiative` and `reference` where it is a member."""

    assignment: Document
    definition: Document
    values: Document
    effect: str
    initiative: Document | None = None
    reference: str = ""
    groups: tuple[str, ...] = ()
    exemptions: tuple[str, ...] = field(default=(), compare=False)

    @property
    def rule(self) -> Document:
        """The rule of the definition."""
        found: Document = self.definition["properties"]["policyRule"]
        return found

    @property
    def enforced(self) -> bool:
        """Whether its effect is carried out; without, it is only told how resources stand."""
        return str(self.assignment["properties"].get("enforcementMode") or "Default").lower() == "default"

    @property
    def mode(self) -> str:
        """The mode of the definition."""
        return str(self.definition["properties"].get("mode") or "Indexed")

    @property
    def message(self) -> str:
        """What the assignment says of what does not comply: of this member, else of all; "" where it says nothing."""
        general = ""
        for entry in self.assignment["properties"].get("nonComplianceMessages") or []:
            told = str(entry.get("policyDefinitionReferenceId") or "")
            if told and told.lower() == self.reference.lower():
                return str(entry.get("message") or "")
            if not told:
                general = str(entry.get("message") or "")
        return general


class InForce:
    """Answers what holds, from what is stored; read again only when the store has changed."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self._held: tuple[int, list[Document], list[Document]] = (-1, [], [])

    def _read(self) -> tuple[list[Document], list[Document]]:
        revision = self.arm.resources.bucket.revision
        if self._held[0] != revision:
            assignments = [s.body for s in self.arm.resources.all(ASSIGNMENTS)]
            exemptions = [s.body for s in self.arm.resources.all(EXEMPTIONS)] if assignments else []
            self._held = (revision, assignments, exemptions)
        return self._held[1], self._held[2]

    def any(self) -> bool:
        """Whether anything is assigned at all."""
        return bool(self._read()[0])

    def assignments(self, resource: str) -> list[Document]:
        """The assignments whose scope a resource is in, and that do not leave it out."""
        return [
            a
            for a in self._read()[0]
            if ids.within(resource, a["properties"]["scope"])
            and not any(ids.within(resource, out) for out in a["properties"].get("notScopes") or [])
        ]

    def policies(self, resource: Document) -> Iterator[Policy]:
        """The policies that hold for a resource, of which `id`, `type` and `location` are looked at."""
        for assignment in self.assignments(str(resource["id"])):
            if selected(assignment["properties"].get("resourceSelectors"), resource):
                yield from self.expanded(assignment, resource)

    def expanded(self, assignment: Document, resource: Document) -> Iterator[Policy]:
        """The policies of one assignment; those that are disabled are left out."""
        body = definitions.find(self.arm, assignment["properties"]["policyDefinitionId"])
        if body is None:
            return
        given = parameters.values(assignment["properties"].get("parameters"))
        declared = body["properties"].get("parameters") or {}
        bound = parameters.bound(given, declared)
        if not definitions.is_set(body["id"]):
            yield from self._policy(assignment, body, bound, resource)
            return
        for member in body["properties"]["policyDefinitions"]:
            found = definitions.find(self.arm, member["policyDefinitionId"])
            if found is None:
                continue
            inner = expressions.resolve(
                parameters.values(member.get("parameters")), expressions.Scope(parameters=bound)
            )
            values = parameters.bound(inner, found["properties"].get("parameters") or {})
            reference = str(member["policyDefinitionReferenceId"])
            groups = tuple(member.get("groupNames") or ())
            yield from self._policy(assignment, found, values, resource, body, reference, groups)

    def _policy(
        self,
        assignment: Document,
        definition: Document,
        values: Document,
        resource: Document,
        initiative: Document | None = None,
        reference: str = "",
        groups: tuple[str, ...] = (),
    ) -> Iterator[Policy]:
        effect = definitions.effect_of(definition, values)
        for override in assignment["properties"].get("overrides") or []:
            if overrides(override, resource, reference):
                effect = str(override["value"])
        if effect.lower() == "disabled":
            return
        exempt = tuple(self._exemptions(str(assignment["id"]), reference, str(resource["id"])))
        yield Policy(assignment, definition, values, effect, initiative, reference, groups, exempt)

    def _exemptions(self, assignment: str, reference: str, resource: str) -> Iterator[str]:
        now = self.arm.services.clock.now()
        for exemption in self._read()[1]:
            properties = exemption["properties"]
            members = [str(m).lower() for m in properties.get("policyDefinitionReferenceIds") or []]
            if (
                ids.same(properties["policyAssignmentId"], assignment)
                and ids.within(resource, ids.of(exemption["id"]).scope)
                and (not members or reference.lower() in members)
                and not over(properties.get("expiresOn"), now)
            ):
                yield str(exemption["id"])


def selected(selectors: list[Document] | None, resource: Document) -> bool:
    """Whether resource selectors let a resource through: one of them must, with all that it names."""
    return not selectors or any(
        all(_selector(s, resource, "") for s in entry.get("selectors") or []) for entry in selectors
    )


def overrides(override: Document, resource: Document, reference: str) -> bool:
    """Whether an override of the effect is about a resource and a member."""
    return all(_selector(s, resource, reference) for s in override.get("selectors") or [])


def _selector(selector: Document, resource: Document, reference: str) -> bool:
    kind = str(selector.get("kind") or "")
    found = {
        "resourceLocation": str(resource.get("location") or ""),
        "resourceType": str(resource.get("type") or ""),
        "policyDefinitionReferenceId": reference,
        "resourceWithoutLocation": "" if resource.get("location") else "true",
    }[kind].lower()
    if selector.get("in") is not None:
        names = [str(v).lower().replace("subscriptionlevelresources", "true") for v in selector["in"]]
        return found in names
    return found not in [str(v).lower() for v in selector.get("notIn") or []]


def over(expires: Any, now: dt.datetime) -> bool:
    """Whether a time that something expires on has come."""
    if not expires:
        return False
    found = dt.datetime.fromisoformat(str(expires).replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)) <= now


def judged(policy: Policy, resource: Document) -> bool:
    """Whether a policy of its mode looks at a resource: Indexed at those that have a location and tags, which groups
    do not count among; the mode of clusters at none by itself."""
    if policy.mode == KUBERNETES:
        return False
    return policy.mode.lower() != "indexed" or ("location" in resource and resource["type"] != ids.GROUPS)


def document(stored: Stored) -> Document:
    """A stored resource as rules see it: with the full type."""
    return {**stored.body, "id": stored.id, "type": stored.type, "name": stored.body.get("name") or stored.name}
