"""Whether the cluster stands as a commit says: asked for, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.errors import LabError
from labkit.gitops import state

LOOKED_AT = ("GitRepository", "Kustomization")
REQUESTED = "reconcile.fluxcd.io/requestedAt"

MORE = {
    "Bucket": "/apis/source.toolkit.fluxcd.io/v1/buckets",
    "ImageRepository": "/apis/image.toolkit.fluxcd.io/v1/imagerepositories",
    "ImageUpdateAutomation": "/apis/image.toolkit.fluxcd.io/v1/imageupdateautomations",
    "Receiver": "/apis/notification.toolkit.fluxcd.io/v1/receivers",
}
"""What Flux can be asked to look at beside the kinds that are shown."""

Object = Mapping[str, Any]
Annotate = Callable[[str, Mapping[str, str], str], object]


def arrived(read: Callable[[], Mapping[str, list[Object]]], commit: str, source: str) -> Callable[[], bool | str]:
    """A question for `lab.wait`: True once the GitRepository `source` is ready at `commit`, and all its Kustomizations.

    Until then it answers with words: what is being waited for, and the message of what fails.
    """

    return Question(read, commit, source)


@dataclass(frozen=True)
class Question:
    """Whether the cluster stands as a commit says, to be asked again and again."""

    read: Callable[[], Mapping[str, list[Object]]]
    commit: str
    source: str
    next_command: str = "labkit check gitops"

    def __call__(self) -> bool | str:
        return stands(self.read(), self.commit, self.source)


def stands(objects: Mapping[str, list[Object]], commit: str, source: str) -> bool | str:
    """True, or what is still to come."""
    wanted = f"sha1:{commit}"
    repository = next((r for r in objects["GitRepository"] if _name(r) == source), None)
    if repository is None:
        return f"there is no GitRepository {source}"
    fetched = ((repository.get("status") or {}).get("artifact") or {}).get("revision", "")
    if not fetched.endswith(wanted) or not _ready(repository):
        return _why(repository) or f"{source} is at {_at(fetched, commit)}"
    mine = [k for k in objects["Kustomization"] if _follows(k, source)]
    if not mine:
        return "no Kustomization yet"
    for item in mine:
        applied = str((item.get("status") or {}).get("lastAppliedRevision") or "")
        if (item.get("spec") or {}).get("suspend"):
            continue
        if not applied.endswith(wanted) or not _ready(item):
            return _why(item) or f"{_name(item)} is at {_at(applied, commit)}"
    return True


def _at(revision: str, commit: str) -> str:
    """Where something is, and where it is expected, unless it is there and not ready."""
    here = state.short(revision) or "nothing yet"
    return f"{here}, not ready" if revision.endswith(f"sha1:{commit}") else f"{here}, expected at {commit[:8]}"


def request(annotate: Annotate, namespace: str, name: str, kind: str) -> None:
    """Asks Flux to look at an object now rather than after its interval; `annotate` writes annotations.

    It is what `flux reconcile` does, under that program's name. Raises LabError for a kind that is not Flux's.
    """
    paths = {known.lower(): path for known, path in (state.KINDS | MORE).items()}
    if kind.lower() not in paths:
        raise LabError(f"Flux looks at {', '.join(paths)}; found {kind!r}.", "help(lab.gitops.request)")
    group, _, plural = paths[kind.lower()].rpartition("/")
    path = f"{group}/namespaces/{namespace}/{plural}/{name}"
    annotate(path, {REQUESTED: str(time.time_ns())}, "flux")


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
