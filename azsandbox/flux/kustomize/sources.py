"""The sources of Kustomizations, and the artifacts that they have."""

from __future__ import annotations

from typing import NamedTuple

from azsandbox.controllers.client import Object

GROUP = "kustomize.toolkit.fluxcd.io"
API_VERSION, RESOURCE = f"{GROUP}/v1", "kustomizations"
SOURCES = "source.toolkit.fluxcd.io/v1"
PLURALS = {
    "GitRepository": "gitrepositories",
    "OCIRepository": "ocirepositories",
    "Bucket": "buckets",
    "ExternalArtifact": "externalartifacts",
}
_ORIGIN = "org.opencontainers.image.revision"


class Source(NamedTuple):
    """What a sourceRef names."""

    kind: str
    namespace: str
    name: str


def source_of(obj: Object) -> Source:
    """The source of a Kustomization."""
    reference = obj["spec"]["sourceRef"]
    return Source(reference["kind"], reference.get("namespace") or obj["metadata"]["namespace"], reference["name"])


def shown(obj: Object) -> str:
    """A sourceRef as Flux's log has it: Kind/namespace/name, with the namespace that it names."""
    reference = obj["spec"]["sourceRef"]
    return "/".join(p for p in (reference["kind"], reference.get("namespace") or "", reference["name"]) if p)


def artifact_of(source: Object) -> Object | None:
    """The artifact of a source, or None."""
    found: Object | None = (source.get("status") or {}).get("artifact")
    return found or None


def origin_of(artifact: Object) -> str:
    """The revision that an artifact was made from, "" where it does not say: an OCI artifact names its commit."""
    return str((artifact.get("metadata") or {}).get(_ORIGIN, ""))
