"""The OpenID Connect issuer of a managed cluster: its document and keys at REGION.oic.prod-aks.azure.com, and its tokens.

AKS documentation, "Create an OpenID Connect provider on Azure Kubernetes Service". AKS keeps the documents outside the
cluster, so they are there while it is stopped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from azsandbox.aks import control_plane
from azsandbox.arm.resources import Stored
from azsandbox.dispatch import Receive, Scope, Send, header, host_name

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

CLUSTERS = "Microsoft.ContainerService/managedClusters"
DOCUMENT, KEYS = ".well-known/openid-configuration", "openid/v1/jwks"
_MISSING = (
    '<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code>'
    "<Message>The specified blob does not exist.</Message></Error>"
)


def url_of(stored: Stored) -> str:
    """The issuer of a cluster, with its final slash; "" where it has none."""
    profile = stored.properties.get("oidcIssuerProfile") or {}
    return str(profile.get("issuerURL") or "") if profile.get("enabled") else ""


def attach(arm: Any, cluster: Cluster) -> None:
    """Has the API server of a managed cluster with an issuer sign its tokens as that."""
    id_ = str(cluster.options.get("resource_id") or "")
    stored = arm.resources.get(id_) if id_ else None
    issuer = url_of(stored) if stored else ""
    if issuer:
        cluster.server.tokens.issue_as(issuer, issuer + KEYS)


class Issuers:
    """The issuers of all managed clusters, and the ASGI application that publishes them."""

    def __init__(self, arm: Any) -> None:
        self._arm = arm
        self._held: tuple[int, dict[str, str]] = (-1, {})

    def keys(self, issuer: str) -> dict[str, Any] | None:
        """The key set of an issuer; None for one that no cluster has."""
        uid = self._clusters().get(issuer)
        return self._arm.services.clusters.key_set(uid) if uid else None

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers at REGION.oic.prod-aks.azure.com."""
        if scope["type"] != "http":
            return
        status, kind, content = self._answer(scope)
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        url = f"https://{host_name(header(scope, b'host'))}{scope['path']}"
        for tail in (DOCUMENT, KEYS):
            issuer = url.removesuffix(tail)
            if issuer == url or scope["method"] not in ("GET", "HEAD") or (keys := self.keys(issuer)) is None:
                continue
            body = _document(issuer) if tail == DOCUMENT else keys
            return 200, "application/json", json.dumps(body).encode()
        return 404, "application/xml", _MISSING.encode()

    def _clusters(self) -> dict[str, str]:
        """What the host knows each cluster by, by its issuer; read again only when resources have changed."""
        resources = self._arm.resources
        revision, held = self._held
        if revision != resources.bucket.revision:
            found = [stored for stored in resources.all(CLUSTERS) if url_of(stored)]
            held = {url_of(stored): control_plane.key(stored) for stored in found}
            self._held = (resources.bucket.revision, held)
        return held


def _document(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": issuer + KEYS,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
