"""The retention policy: manifests that lost their last tag are deleted some days later.

Rules: "Set a retention policy for untagged manifests". Only what is untagged while the policy is on, may be deleted and
is referred to by no index counts. The sandbox keeps, as the service's other clean-up does, what is about another
manifest (signatures, attestations).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from azsandbox.registry.content import Stored

if TYPE_CHECKING:
    from azsandbox.registry.registries import Registries, Registry


def sweep(registries: Registries) -> None:
    """Deletes what is due, in every registry."""
    now = registries.host.clock.now()
    for registry in registries.all().values():
        for repository, digest in due(registry, now):
            registry.content.delete_manifest(repository, digest)


def due(registry: Registry, now: dt.datetime) -> list[tuple[str, str]]:
    """Repository and digest of each manifest that the registry's policy no longer keeps."""
    policy = (registry.properties.get("policies") or {}).get("retentionPolicy") or {}
    if policy.get("status") != "enabled":
        return []
    began, keeps = _time(policy["lastUpdatedTime"]), dt.timedelta(days=policy["days"])
    found = []
    for repository in registry.content.repositories():
        manifests = registry.content.manifests(repository)
        referred = {child["digest"] for manifest in manifests for child in manifest.children}
        found += [
            (repository, m.digest)
            for m in manifests
            if _may_go(m) and m.digest not in referred and began <= _time(m.untagged) <= now - keeps
        ]
    return found


def _may_go(manifest: Stored) -> bool:
    return bool(manifest.untagged) and not manifest.subject and manifest.attributes["deleteEnabled"]


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
