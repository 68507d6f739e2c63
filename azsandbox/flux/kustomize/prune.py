"""Deleting what a Kustomization applied and has no more (fluxcd/pkg/ssa, DeleteAll)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from azsandbox.controllers.client import KubeClient
from azsandbox.flux.kustomize.apply import DELETED, RECONCILE, SKIPPED, SSA, Change
from azsandbox.flux.kustomize.drift import any_in_metadata
from azsandbox.flux.kustomize.inventory import Entry
from azsandbox.flux.kustomize.ordering import join_version, order
from azsandbox.flux.kustomize.prepared import GROUP, owner_labels
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.errors import StatusError

_KEPT = {f"{GROUP}/prune": "disabled", RECONCILE: "disabled", SSA: "Ignore"}
MIRROR, DELETE, WAIT, ORPHAN = "MirrorPrune", "Delete", "WaitForTermination", "Orphan"


class PruneError(Exception):
    """Objects that could not be deleted. `changes` has what was done, `left` what is still there."""

    def __init__(self, message: str, changes: list[Change], left: list[Entry]) -> None:
        super().__init__(message)
        self.changes, self.left = changes, left


def deletes(spec: dict[str, object]) -> bool:
    """Whether a Kustomization that goes takes its objects with it."""
    policy = spec.get("deletionPolicy") or MIRROR
    return not spec.get("suspend") and (policy in (DELETE, WAIT) or (policy == MIRROR and bool(spec.get("prune"))))


async def delete_all(
    client: KubeClient, mapping: RestMapping, entries: Iterable[Entry], name: str, namespace: str
) -> list[Change]:
    """Deletes entries of an inventory, last applied first; objects that another has taken over, and those that say so
    themselves, are left. Raises PruneError after it has tried all."""
    changes: list[Change] = []
    left: list[Entry] = []
    problems = ""
    for entry in sorted(entries, key=lambda entry: order(entry.who), reverse=True):
        try:
            action = await _delete(client, mapping, entry, owner_labels(name, namespace))
        except _NotDeleted as error:
            left.append(entry)
            problems += f"{entry.who} {error};"
        else:
            changes.append(Change(entry.who, entry.version, action))
    if problems:
        raise PruneError(f"delete failed, errors: {problems}", changes, left)
    return changes


async def _url(mapping: RestMapping, who: ObjectRef, version: str) -> str:
    resource = await mapping.of(join_version(who.group, version), who.kind)
    return resource.path(who.namespace, who.name)


class _NotDeleted(Exception):
    """A deletion that failed; the message says in which step."""


async def _delete(client: KubeClient, mapping: RestMapping, entry: Entry, labels: dict[str, str]) -> str:
    """Deletes one object; returns what was done. Raises _NotDeleted."""
    try:
        url = await _url(mapping, entry.who, entry.version)
        existing = await client.find(url)
    except (StatusError, NoMatch) as error:
        raise _NotDeleted(f"query failed: {error}") from None
    if existing is None:
        return DELETED
    found = existing["metadata"].get("labels") or {}
    if any(found.get(key) != value for key, value in labels.items()) or any_in_metadata(existing, _KEPT):
        return SKIPPED
    try:
        await client.delete(url, {"propagationPolicy": "Background"})
    except StatusError as error:
        raise _NotDeleted(f"delete failed: {error}") from None
    return DELETED


async def wait_gone(client: KubeClient, mapping: RestMapping, changes: Iterable[Change], seconds: float) -> None:
    """Waits until what was deleted is gone. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        for change in changes:
            if change.action != DELETED:
                continue
            pause = 0.05
            try:
                url = await _url(mapping, change.who, change.version)
                while await client.find(url) is not None:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 2.0)
            except NoMatch:
                continue  # its kind is gone, and so is it
