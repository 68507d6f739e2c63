"""What was found to be as it should be, so that a new revision asks the cluster only about what it changed.

An object counts as settled while the manifest is the same and the cluster's object has not been written to since.
What an apply would do to it also depends on the policies of the cluster, which may change while the object does not;
so a settled object is trusted for a new revision only, and every reconciliation by interval or request asks again.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from azsandbox.controllers.client import KubeClient, Object, Objects
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.errors import StatusError

FEW = 5  # objects of one resource that are asked for one by one


def fingerprint(obj: Object) -> Any:
    """Changes with whatever an apply could find different: content, labels and annotations, but not the status."""
    metadata = obj["metadata"]
    version = metadata.get("generation") or metadata.get("resourceVersion")
    return metadata.get("uid"), version, metadata.get("labels") or {}, metadata.get("annotations") or {}


def digest(manifest: Object) -> bytes:
    """A hash of a manifest."""
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).digest()


@dataclass
class Settled:
    """Of one Kustomization: by identity, the hash of its manifest and the fingerprint of the cluster's object."""

    _known: dict[ObjectRef, tuple[bytes, Any]] = field(default_factory=dict)
    _checked: float = -1e9  # when every object was last looked at (time.monotonic)

    def checked(self) -> None:
        """Every object was looked at."""
        self._checked = time.monotonic()

    def is_fresh(self, seconds: float) -> bool:
        """Whether that was less than `seconds` ago."""
        return time.monotonic() - self._checked < seconds

    def note(self, who: ObjectRef, manifest: Object, existing: Object) -> None:
        """The cluster has what the manifest wants."""
        self._known[who] = digest(manifest), fingerprint(existing)

    def forget(self, who: ObjectRef) -> None:
        """Nothing is known of an object any more."""
        self._known.pop(who, None)

    async def unchanged(
        self, manifests: Objects, client: KubeClient, mapping: RestMapping, selector: str
    ) -> dict[ObjectRef, Object]:
        """The cluster's objects that are still as they were found, for manifests that are the same too.

        Objects of a kind are read in one list, by the labels (`selector`) that all of them have.
        """
        same = [m for m in manifests if self._known.get(ObjectRef.of(m), (b"",))[0] == digest(m)]
        kinds = Counter((manifest["apiVersion"], manifest["kind"]) for manifest in same)
        found: dict[ObjectRef, Object] = {}
        for (api_version, kind), count in kinds.items():
            if count < FEW:
                continue
            try:
                resource = await mapping.of(api_version, kind)
                listed = await client.list(resource.path(), labelSelector=selector)
            except (NoMatch, StatusError):
                continue  # the apply says what is wrong
            for item in listed:
                item.update(apiVersion=api_version, kind=kind)
                who = ObjectRef.of(item)
                if who in self._known and self._known[who][1] == fingerprint(item):
                    found[who] = item
        wanted = {ObjectRef.of(manifest) for manifest in same}
        return {who: item for who, item in found.items() if who in wanted}
