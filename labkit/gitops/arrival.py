"""Whether the cluster stands as a commit says: asked for, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from labkit.gitops import state

REQUESTED = "reconcile.fluxcd.io/requestedAt"

Object = Mapping[str, Any]


def arrived(read: Callable[[], Mapping[str, list[Object]]], commit: str, source: str) -> Callable[[], bool | str]:
    """A question for `lab.wait`: True once every Kustomization of the GitRepository `source` is applied at `commit`.

    Until then it answers with words: what is being waited for, and the message of what fails.
    """

    def question() -> bool | str:
        return stands(read(), commit, source)

    return question


def stands(objects: Mapping[str, list[Object]], commit: str, source: str) -> bool | str:
    """True, or what is still to come."""
    wanted = f"sha1:{commit}"
    repository = next((r for r in objects["GitRepository"] if _name(r) == source), None)
    if repository is None:
        return f"there is no GitRepository {source}"
    fetched = ((repository.get("status") or {}).get("artifact") or {}).get("revision", "")
    if not fetched.endswith(wanted):
        return _why(repository) or f"{source} is at {state.short(fetched) or 'nothing yet'}"
    mine = [k for k in objects["Kustomization"] if _follows(k, source)]
    if not mine:
        return "no Kustomization yet"
    for item in mine:
        applied = str((item.get("status") or {}).get("lastAppliedRevision") or "")
        if (item.get("spec") or {}).get("suspend"):
            continue
        if not applied.endswith(wanted) or not _ready(item):
            return _why(item) or f"{_name(item)} is at {state.short(applied) or 'nothing yet'}"
    return True


def request(annotate: Callable[[str, str, str], object], name: str, kind: str = "gitrepository") -> None:
    """Asks Flux to look at an object now rather than after its interval; `annotate` writes an annotation.

    It is what `flux reconcile` does.
    """
    annotate(kind, name, f"{REQUESTED}={time.time_ns()}")


def _name(item: Object) -> str:
    return str((item.get("metadata") or {}).get("name", ""))


def _follows(item: Object, source: str) -> bool:
    ref = (item.get("spec") or {}).get("sourceRef") or {}
    return ref.get("kind") == "GitRepository" and ref.get("name") == source


def _ready(item: Object) -> bool:
    status = item.get("status") or {}
    if status.get("observedGeneration") != (item.get("metadata") or {}).get("generation"):
        return False
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])


def _why(item: Object) -> str:
    """The message of a condition Ready that is False."""
    for condition in (item.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready" and condition.get("status") == "False":
            return f"{_name(item)}: {condition.get('message')}"
    return ""
