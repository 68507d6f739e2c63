"""Taking fields over from kubectl and others: they become the controller's own, so that what no manifest has goes away
(fluxcd/pkg/ssa, PatchReplaceFieldsManagers)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

from azsandbox.controllers.client import Object, Objects

ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
)
LABELS = ("fluxcd.io/sync-gc-mark",)


class FieldManager(NamedTuple):
    """Managers whose name begins with `prefix`, with one kind of operation."""

    prefix: str
    operation: str

    def matches(self, entry: Object) -> bool:
        """Whether an entry of managedFields is one of theirs; those of sub-resources are nobody's."""
        return bool(
            entry.get("operation") == self.operation
            and not entry.get("subresource")
            and str(entry.get("manager", "")).startswith(self.prefix)
        )


def taken_over(controller: str, disallowed: Iterable[str] = ()) -> tuple[FieldManager, ...]:
    """The managers whose fields `controller` takes over; `disallowed` are those of --override-manager."""
    found = [
        FieldManager("kubectl", "Apply"),  # kubectl apply --server-side --force-conflicts
        FieldManager("kubectl", "Update"),  # kubectl apply, edit, patch …
        FieldManager("before-first-apply", "Update"),
        FieldManager(controller, "Update"),  # the controller before it used server-side apply
    ]
    return (*found, *overridden(disallowed))


def overridden(names: Iterable[str]) -> tuple[FieldManager, ...]:
    """The managers that --override-manager names."""
    return tuple(FieldManager(name, operation) for name in names for operation in ("Apply", "Update"))


def cleanup(existing: Object, managers: Iterable[FieldManager], owner: str) -> Objects:
    """The JSON patch that takes an object over from others; empty where there is nothing to take."""
    metadata = existing.get("metadata") or {}
    patch: Objects = []
    for kind, keys in (("annotations", ANNOTATIONS), ("labels", LABELS)):
        for key in keys:
            if key in (metadata.get(kind) or {}):
                patch.append({"op": "remove", "path": f"/metadata/{kind}/{key.replace('/', '~1')}"})
    return patch + taken(existing, managers, owner)


def taken(existing: Object, managers: Iterable[FieldManager], owner: str) -> Objects:
    """The JSON patch that makes the fields of `managers` the owner's; empty where they have none."""
    entries = _replaced((existing.get("metadata") or {}).get("managedFields") or [], tuple(managers), owner)
    return [] if entries is None else [{"op": "replace", "path": "/metadata/managedFields", "value": entries}]


def _replaced(entries: Objects, managers: tuple[FieldManager, ...], owner: str) -> Objects | None:
    """Entries with those of `managers` merged into the owner's, which comes last; None where there are none."""
    own = next((e for e in reversed(entries) if e.get("manager") == owner and e.get("operation") == "Apply"), None)
    merged = copy.deepcopy(own)
    rest: Objects = []
    edited = False
    for entry in entries:
        if entry is own:
            continue
        if not any(manager.matches(entry) for manager in managers):
            rest.append(entry)
            continue
        edited = True
        if merged is None:
            merged = {**copy.deepcopy(entry), "manager": owner, "operation": "Apply"}
        else:
            merged["fieldsV1"] = _union(merged.get("fieldsV1") or {}, entry.get("fieldsV1") or {})
    return [*rest, merged] if edited and merged is not None else None


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    found = dict(left)
    for key, value in right.items():
        found[key] = _union(found[key], value) if key in found else value
    return found
