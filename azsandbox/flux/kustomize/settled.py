"""What was found to be as it should be, so that a new revision asks the cluster only about what it changed.

An object counts as settled while the manifest is the same and the cluster's object has not been written to since.
What an apply would do to it also depends on the policies of the cluster, which may change while the object does not;
so a settled object is trusted for a new revision only, and every reconciliation by interval or request asks again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informer, Informers
from azsandbox.flux.kustomize.prepared import GROUP, Manifest
from azsandbox.flux.object_refs import ObjectRef, group_of
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.errors import StatusError

FEW = 5  # objects of one kind that are asked about one by one
PATIENCE = 1.0  # seconds for the first list of a kind
_REVIEWS = "authorization.k8s.io/v1"


def fingerprint(obj: Object) -> Any:
    """Changes with whatever an apply could find different: content, labels and annotations, but not the status."""
    metadata = obj["metadata"]
    version = metadata.get("generation") or metadata.get("resourceVersion")
    return metadata.get("uid"), version, metadata.get("labels") or {}, metadata.get("annotations") or {}


class Cluster:
    """What the cluster has of the objects that Kustomizations apply, by a watch for each kind that has many."""

    def __init__(self, informers: Informers, mapping: RestMapping) -> None:
        self.informers, self.mapping = informers, mapping

    async def objects(self, api_version: str, kind: str) -> Informer | None:
        """The objects of a kind, or None where they are not to be had."""
        try:
            resource = await self.mapping.of(api_version, kind)
        except (NoMatch, StatusError):
            return None
        informer = self.informers.of(api_version, resource.name, labelSelector=f"{GROUP}/name")
        try:
            async with asyncio.timeout(PATIENCE):
                await informer.synced.wait()
        except TimeoutError:
            return None
        return informer


@dataclass
class Settled:
    """Of one Kustomization: by object, the hash of its manifest and the fingerprint of what the cluster has."""

    _known: dict[ObjectRef, tuple[bytes, Any]] = field(default_factory=dict)
    _checked: float = -1e9  # when every object was last looked at (time.monotonic)

    def checked(self) -> None:
        """Every object was looked at."""
        self._checked = time.monotonic()

    def is_fresh(self, seconds: float) -> bool:
        """Whether that was less than `seconds` ago."""
        return time.monotonic() - self._checked < seconds

    def note(self, manifest: Manifest, existing: Object) -> None:
        """The cluster has what the manifest wants."""
        self._known[manifest.ref] = manifest.digest, fingerprint(existing)

    def forget(self, ref: ObjectRef) -> None:
        """Nothing is known of an object any more."""
        self._known.pop(ref, None)

    async def unchanged(
        self, manifests: list[Manifest], cluster: Cluster, asking: KubeClient | None = None
    ) -> set[ObjectRef]:
        """The objects that are as they were found, in the manifests and in the cluster.

        `asking` is an account other than the controller's own: what it may no longer apply is left for the apply to
        refuse.
        """
        same = [m for m in manifests if self._known.get(m.ref, (b"",))[0] == m.digest]
        found: set[ObjectRef] = set()
        for (api_version, kind), count in Counter((m.obj["apiVersion"], m.obj["kind"]) for m in same).items():
            informer = await cluster.objects(api_version, kind) if count >= FEW else None
            if informer is None:
                continue
            for manifest in same:
                ref = manifest.ref
                if manifest.obj["kind"] == kind and manifest.obj["apiVersion"] == api_version:
                    existing = informer.get(f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name)
                    if existing is not None and fingerprint(existing) == self._known[ref][1]:
                        found.add(ref)
            if asking is not None:
                for namespace in {ref.namespace for ref in found if ref.kind == kind}:
                    if not await _may_apply(asking, informer, namespace):
                        found = {ref for ref in found if ref.kind != kind or ref.namespace != namespace}
        return found


async def _may_apply(client: KubeClient, informer: Informer, namespace: str) -> bool:
    """Whether the account of a client may apply objects of a resource in a namespace."""
    attributes = {
        "verb": "patch",
        "group": group_of(informer.api_version),
        "resource": informer.resource,
        "namespace": namespace,
    }
    review = {"apiVersion": _REVIEWS, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    try:
        answer = await client.create(path(_REVIEWS, "selfsubjectaccessreviews"), review)
    except StatusError:
        return False
    return bool(answer["status"]["allowed"])
