"""What a running Gatekeeper knows: its templates and constraints, and what they say of an object."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.policy.engine import Policy, RegoEngine, RegoError
from azsandbox.policy.exclusions import Exclusions
from azsandbox.policy.inventory import Inventory
from azsandbox.policy.matching import Subject, matches

log = logging.getLogger(__name__)

WEBHOOK, AUDIT, VAP = "validation.gatekeeper.sh", "audit.gatekeeper.sh", "vap.k8s.io"  # enforcement points


class ReviewError(Exception):
    """An object that cannot be judged, since a policy gives an answer that is none."""


@dataclass(frozen=True)
class Violation:
    """What one constraint has against an object."""

    constraint: str  # its name
    kind: str
    action: str  # of the constraint: deny, warn, dryrun, scoped
    actions: tuple[str, ...]  # what is to be done here: deny, warn, dryrun
    message: str

    @property
    def text(self) -> str:
        """As it stands in a refusal."""
        return f"[{self.constraint}] {self.message}"


@dataclass
class Gatekeeper:
    """Templates by kind, and constraints by kind and name. One a cluster, shared by webhook and audit."""

    policies: RegoEngine = field(default_factory=RegoEngine)
    operations: dict[str, list[str]] = field(
        default_factory=dict
    )  # by kind: those that a template is about, if not all
    constraints: dict[str, dict[str, Object]] = field(default_factory=dict)
    inventory: Inventory = field(default_factory=Inventory)
    exclusions: Exclusions = field(default_factory=Exclusions)
    changes: int = 0
    """Counts what can change what an audit finds: constraints, and objects that the webhook saw which they are about."""

    def put(self, constraint: Object) -> None:
        """Takes a constraint in, or its newer version."""
        known, name = self.constraints.setdefault(constraint["kind"], {}), constraint["metadata"]["name"]
        if name not in known or known[name].get("spec") != constraint.get("spec"):  # and not for its status
            self.changes += 1
        known[name] = constraint

    def drop(self, kind: str, name: str) -> None:
        """Forgets a constraint."""
        self.constraints.get(kind, {}).pop(name, None)

    def define(self, kind: str, policy: Policy, operations: list[str]) -> None:
        """Takes a template in, or its newer version. `operations` are those that it is about, if not all."""
        self.policies.put(kind, policy)
        self.changes += 1
        self.operations[kind] = operations

    def undefine(self, kind: str) -> None:
        """Forgets a template with its constraints."""
        self.policies.drop(kind)
        self.operations.pop(kind, None)
        self.constraints.pop(kind, None)

    def judge(self, subject: Subject, review: dict[str, Any], point: str) -> list[Violation]:
        """What the constraints that act at an enforcement point have against an object, sorted as Gatekeeper does."""
        operation = str(review.get("operation") or "") if point == WEBHOOK else ""
        about: dict[str, dict[str, Object]] = {}
        for constraint in self._about(subject, operation):
            if actions_at(constraint, point):
                about.setdefault(constraint["kind"], {})[constraint["metadata"]["name"]] = constraint
        if not about:
            return []
        self.changes += point == WEBHOOK
        parameters = {
            kind: {name: (found.get("spec") or {}).get("parameters") or {} for name, found in constraints.items()}
            for kind, constraints in about.items()
        }
        violations = []
        for kind, name, answers in self.policies.judge(review, parameters, self.inventory):
            constraint = about[kind][name]
            if isinstance(answers, RegoError):
                log.info("constraint %s %s: %s", kind, name, answers)
                answers = [{"msg": str(answers)}]
            action, actions = action_of(constraint), actions_at(constraint, point)
            violations += [Violation(name, kind, action, actions, _message(answer)) for answer in answers]
        return sorted(violations, key=lambda violation: (violation.action, violation.message))

    def _about(self, subject: Subject, operation: str) -> Iterator[Object]:
        for kind, constraints in self.constraints.items():
            wanted = self.operations.get(kind)
            if kind in self.policies and (not wanted or not operation or operation in wanted or "*" in wanted):
                for constraint in list(constraints.values()):
                    if matches((constraint.get("spec") or {}).get("match") or {}, subject):
                        yield constraint


def _message(answer: dict[str, Any]) -> str:
    """The text of a violation. Raises ReviewError for one that is no text."""
    found = answer["msg"]
    if isinstance(found, str):
        return found
    kinds = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}", type(None): "<nil>"}
    kind = kinds.get(type(found), "json.Number")
    text = f".msg accessor error: {_printed(found)} is of the type {kind}, expected string"
    raise ReviewError(f"admission.k8s.gatekeeper.sh: Rego: extracting message binding: {text}\n\n")


def _printed(value: Any) -> str:
    """A value as Go prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "<nil>"}[value]
    return str(value)


def action_of(constraint: Object) -> str:
    """What a constraint does about a violation: deny unless it says otherwise; an empty word is no action."""
    action = (constraint.get("spec") or {}).get("enforcementAction")
    return "deny" if action is None else str(action)


def actions_at(constraint: Object, point: str) -> tuple[str, ...]:
    """What a constraint does at an enforcement point; a scoped one names points for each of its actions."""
    action = action_of(constraint)
    if action != "scoped":
        return (action,)
    scoped = (constraint.get("spec") or {}).get("scopedEnforcementActions") or []
    return tuple(
        entry["action"]
        for entry in scoped
        if any(place.get("name") in (point, "*") for place in entry.get("enforcementPoints") or [])
    )
