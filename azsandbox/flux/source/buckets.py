"""Bucket: known, and refused, since no object store stands behind the sandbox."""

from __future__ import annotations

from typing import ClassVar

from azsandbox.controllers.client import Object
from azsandbox.flux import conditions, secrets
from azsandbox.flux.secrets import SecretError
from azsandbox.flux.source.outcomes import Failed, not_supported
from azsandbox.flux.source.sources import (
    FETCH_FAILED,
    IN_STORAGE,
    OUTDATED,
    STORAGE_FAILED,
    Built,
    SourceReconciler,
)
from azsandbox.kubernetes.errors import StatusError

_AUTHENTICATION = "AuthenticationFailed"


class Buckets(SourceReconciler):
    """Says of a bucket what its Secrets lack, and then that the sandbox has no buckets."""

    resource, kind = "buckets", "Bucket"
    summarized: ClassVar[tuple[str, ...]] = (
        STORAGE_FAILED,
        OUTDATED,
        FETCH_FAILED,
        IN_STORAGE,
        conditions.STALLED,
        conditions.RECONCILING,
    )
    failures = (FETCH_FAILED, STORAGE_FAILED)

    async def build(self, obj: Object, before: Object) -> Built:
        """Always raises."""
        spec, namespace = obj["spec"], obj["metadata"]["namespace"]
        if spec.get("secretRef"):
            name = spec["secretRef"]["name"]
            try:
                await self.secret(namespace, name)
            except StatusError as error:
                text = f"failed to get secret '{namespace}/{name}': {error}"
                raise Failed(_AUTHENTICATION, text, FETCH_FAILED) from error
        if spec.get("proxySecretRef"):
            try:
                secrets.proxy(await secrets.read(self.client, namespace, spec["proxySecretRef"]["name"]))
            except SecretError as error:
                raise Failed(_AUTHENTICATION, str(error), FETCH_FAILED) from error
        raise not_supported("The kind Bucket", FETCH_FAILED)
