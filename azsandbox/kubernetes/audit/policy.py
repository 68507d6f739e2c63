"""Audit policies: the first rule that matches a request says how much of it is recorded.

Semantics: k8s.io/apiserver, pkg/audit/policy (checker.go).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import User

MOST_REMEMBERED = 4096
"""Answers that are kept; the same users ask for the same over and over."""


class Level(enum.IntEnum):
    """How much of a request is recorded; each level has what the one before has."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3

    @property
    def text(self) -> str:
        """As events name it."""
        return _NAMES[self]

    @classmethod
    def of(cls, text: str) -> Level:
        """The level of that name. Raises KeyError."""
        return _LEVELS[text]


_NAMES = {
    Level.NONE: "None",
    Level.METADATA: "Metadata",
    Level.REQUEST: "Request",
    Level.REQUEST_RESPONSE: "RequestResponse",
}
_LEVELS = {name: level for level, name in _NAMES.items()}


@dataclass(frozen=True)
class _Rule:
    level: Level
    users: frozenset[str]
    groups: frozenset[str]
    verbs: frozenset[str]
    namespaces: frozenset[str]
    resources: tuple[tuple[str, frozenset[str]], ...]
    paths: tuple[str, ...]

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> _Rule:
        resources = tuple(
            (r.get("group", ""), frozenset(r.get("resources") or ())) for r in rule.get("resources") or ()
        )
        return cls(
            Level.of(rule["level"]),
            frozenset(rule.get("users") or ()),
            frozenset(rule.get("userGroups") or ()),
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("namespaces") or ()),
            resources,
            tuple(rule.get("nonResourceURLs") or ()),
        )

    def matches(self, user: User, question: Question) -> bool:
        if self.users and user.name not in self.users:
            return False
        if self.groups and self.groups.isdisjoint(user.groups):
            return False
        if self.verbs and question.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return not question.path and self._names_resource(question)
        if self.paths:
            return bool(question.path) and any(_path_matches(pattern, question.path) for pattern in self.paths)
        return True

    def _names_resource(self, question: Question) -> bool:
        if self.namespaces and question.namespace not in self.namespaces:
            return False
        if not self.resources:
            return True
        name = f"{question.resource}/{question.subresource}" if question.subresource else question.resource
        among = {name, f"*/{question.subresource}", f"{question.resource}/*"} if question.subresource else {name}
        return any(group == question.group and (not names or names & among) for group, names in self.resources)


def _path_matches(pattern: str, path: str) -> bool:
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))


class Policy:
    """Rules in their order, as `rules` of an audit.k8s.io/v1 Policy has them; what none matches is not recorded."""

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self._rules = tuple(_Rule.of(rule) for rule in rules)
        self._known: dict[tuple[Any, ...], Level] = {}

    def level(self, user: User, question: Question) -> Level:
        """How much is recorded of what `user` asks."""
        key = (
            user.name, user.groups, question.verb, question.group, question.resource, question.subresource,
            question.namespace, question.path,
        )  # fmt: skip
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = next((rule.level for rule in self._rules if rule.matches(user, question)), Level.NONE)
            self._known[key] = found
        return found
