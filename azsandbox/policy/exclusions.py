"""Namespaces that a Config leaves out of what Gatekeeper does (gatekeeper, package controller/config/process)."""

from __future__ import annotations

from azsandbox.controllers.client import Object, Objects
from azsandbox.policy.matching import like

AUDIT, MUTATION, SYNC, WEBHOOK = "audit", "mutation-webhook", "sync", "webhook"
_ALL = "*"


class Exclusions:
    """Patterns of namespaces by process."""

    def __init__(self) -> None:
        self._patterns: dict[str, set[str]] = {}

    def replace(self, entries: Objects) -> None:
        """Takes `spec.match` of a Config for what was there before."""
        self._patterns = {}
        for entry in entries:
            for process in entry.get("processes") or []:
                for named in (AUDIT, MUTATION, SYNC, WEBHOOK) if process == _ALL else (process,):
                    self._patterns.setdefault(named, set()).update(entry.get("excludedNamespaces") or [])

    def exclude(self, process: str, obj: Object, kind: str, namespace: str = "") -> bool:
        """Whether a process leaves an object alone. A Namespace counts as in itself."""
        metadata = obj.get("metadata") or {}
        is_namespace = kind == "Namespace" and obj.get("apiVersion", "v1") == "v1"
        name = metadata.get("name") if is_namespace else namespace or metadata.get("namespace")
        return any(like(pattern, str(name or "")) for pattern in self._patterns.get(process, ()))
