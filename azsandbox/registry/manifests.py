"""What a manifest says: its media type, what it refers to, what it is about.

Formats: OCI image specification 1.1 (image manifest, image index, `subject`, `artifactType`), Docker's image manifest
version 2 schema 2 and manifest list, and the ORAS artifact manifest that Azure still takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azsandbox import json_bodies

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
ORAS_ARTIFACT = "application/vnd.cncf.oras.artifact.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
ARTIFACTS = (OCI_ARTIFACT, ORAS_ARTIFACT)
EMPTY = "application/vnd.oci.empty.v1+json"


class Invalid(Exception):
    """A body that is no manifest; the message says why."""


@dataclass
class Manifest:
    """A parsed manifest. Descriptors are as written."""

    media_type: str
    config: dict[str, Any] | None = None
    layers: list[dict[str, Any]] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    subject: dict[str, Any] | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> list[str]:
        """Digests of the blobs that must be there: not those that are fetched from elsewhere."""
        wanted = [self.config] if self.config else []
        wanted += [layer for layer in self.layers if not is_foreign(layer)]
        return [str(descriptor["digest"]) for descriptor in wanted]

    @property
    def size(self) -> int:
        """Bytes of configuration and layers."""
        return sum(int(d.get("size") or 0) for d in [*([self.config] if self.config else []), *self.layers])


def is_foreign(descriptor: dict[str, Any]) -> bool:
    """Whether a layer's content may lie outside the registry (Windows base layers)."""
    media_type = str(descriptor.get("mediaType", ""))
    return "nondistributable" in media_type or "foreign" in media_type


def parse(media_type: str, content: bytes) -> Manifest:
    """The manifest in `content`; `media_type` is that of the request, "" for none. Raises Invalid."""
    try:
        body = json_bodies.parse(content)
    except ValueError as error:
        raise Invalid(f"the manifest is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Invalid("the manifest is not a JSON object")
    if body.get("schemaVersion") == 1:
        raise Invalid("manifests of schema 1 are not supported")
    stated = str(body.get("mediaType") or "")
    media_type = media_type.partition(";")[0].strip() or stated
    if stated and media_type and stated != media_type:
        raise Invalid(f"if present, mediaType in manifest should be '{media_type}' not '{stated}'")
    if media_type not in (*INDEXES, *IMAGES, *ARTIFACTS):
        raise Invalid(f"the media type {media_type!r} is not that of a manifest")
    found = Manifest(
        media_type,
        config=_descriptor(body.get("config"), "config"),
        subject=_descriptor(body.get("subject"), "subject"),
        artifact_type=str(body.get("artifactType") or ""),
        annotations={str(k): str(v) for k, v in (body.get("annotations") or {}).items()},
    )
    if media_type in INDEXES:
        found.config = None
        found.manifests = _descriptors(body.get("manifests"), "manifests")
    else:
        found.layers = _descriptors(body.get("layers" if media_type in IMAGES else "blobs"), "layers")
        if media_type in IMAGES and found.config is None:
            raise Invalid("the manifest has no config")
    if not found.artifact_type and found.config and media_type == OCI_MANIFEST:
        found.artifact_type = str(found.config.get("mediaType") or "")
    return found


def _descriptor(value: Any, where: str) -> dict[str, Any] | None:
    from azsandbox.registry.names import is_digest

    if value is None:
        return None
    if not isinstance(value, dict) or not is_digest(str(value.get("digest", ""))):
        raise Invalid(f"{where} is not a descriptor with a digest")
    return value


def _descriptors(value: Any, where: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid(f"{where} is not a list")
    return [d for item in value if (d := _descriptor(item, where)) is not None]
