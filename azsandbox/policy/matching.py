"""Which objects a constraint is about: `spec.match` (open-policy-agent/gatekeeper, package mutation/match)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from azsandbox.controllers.client import Object
from azsandbox.kubernetes.validation.common import selects


@dataclass(frozen=True)
class Subject:
    """An object to be judged: its group and kind, itself, what it was before an update, and its namespace.

    `namespace` is the Namespace object, None for an object of the cluster.
    """

    group: str
    kind: str
    obj: Object
    old: Object | None = None
    namespace: Object | None = None
    source: str = "Original"

    @property
    def is_namespace(self) -> bool:
        return self.kind == "Namespace" and self.group == ""

    @property
    def namespace_name(self) -> str:
        """The namespace that it is in; a Namespace counts as in itself."""
        metadata = self.obj.get("metadata") or {}
        if self.is_namespace:
            return str(metadata.get("name", ""))
        return str(((self.namespace or {}).get("metadata") or {}).get("name") or metadata.get("namespace", ""))

    @property
    def labels(self) -> dict[str, str]:
        return dict((self.obj.get("metadata") or {}).get("labels") or {})


def matches(match: Object, subject: Subject) -> bool:
    """Whether a constraint with this `spec.match` is about the subject, as it is or as it was."""
    states = [subject, *([replace(subject, obj=subject.old, old=None)] if subject.old else [])]
    return any(all(rule(match, state) for rule in _RULES) for state in states)


def _kinds(match: Object, subject: Subject) -> bool:
    selectors = match.get("kinds")
    if not selectors:
        return True
    return any(
        _named(entry.get("apiGroups"), subject.group) and _named(entry.get("kinds"), subject.kind)
        for entry in selectors
    )


def _named(patterns: list[str] | None, value: str) -> bool:
    """Whether a list names a value; an empty list names all."""
    return not patterns or "*" in patterns or value in patterns


def _scope(match: Object, subject: Subject) -> bool:
    namespaced = bool(subject.namespace_name) and not subject.is_namespace
    wanted = {"Cluster": False, "Namespaced": True}.get(match.get("scope") or "")
    return wanted is None or wanted == namespaced  # a word that is neither is no rule


def _source(match: Object, subject: Subject) -> bool:
    source = match.get("source") or "All"
    return source in ("All", subject.source)


def _namespaces(match: Object, subject: Subject) -> bool:
    """An object of the cluster passes: the list is about those that have a namespace."""
    wanted = match.get("namespaces")
    if not wanted or not subject.namespace_name:
        return True
    return any(like(pattern, subject.namespace_name) for pattern in wanted)


def _excluded(match: Object, subject: Subject) -> bool:
    unwanted = match.get("excludedNamespaces") or []
    return not any(like(pattern, subject.namespace_name) for pattern in unwanted if subject.namespace_name)


def _name(match: Object, subject: Subject) -> bool:
    wanted, metadata = match.get("name"), subject.obj.get("metadata") or {}
    if not wanted or like(wanted, str(metadata.get("name") or "")):
        return True
    generated = str(metadata.get("generateName") or "")
    return bool(generated) and wanted.endswith("*") and like(wanted, generated)


def _labels(match: Object, subject: Subject) -> bool:
    selector = match.get("labelSelector")
    return selector is None or selects(selector, subject.labels)


def _namespace_labels(match: Object, subject: Subject) -> bool:
    selector = match.get("namespaceSelector")
    if selector is None or (not subject.namespace_name and not subject.is_namespace):
        return True
    if subject.is_namespace:
        return selects(selector, subject.labels)
    return selects(selector, ((subject.namespace or {}).get("metadata") or {}).get("labels"))


def like(pattern: str, value: str) -> bool:
    """Whether a value fits a pattern with a `*` at its beginning, its end, or both."""
    start, end = pattern.startswith("*"), pattern.endswith("*")
    core = pattern.strip("*")
    if start and end:
        return core in value
    if start:
        return value.endswith(core)
    return value.startswith(core) if end else value == pattern


_RULES = (_kinds, _scope, _source, _namespaces, _excluded, _name, _labels, _namespace_labels)
