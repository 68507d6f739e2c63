"""What the kit knows of public registries: images by digest (data/registry/upstream.json) and charts of its own.

The content of such a registry is made when first asked for, beside that of the sandbox's registries, and made anew
when the catalogue has changed. It holds, for each tag,

    a digest and a media type    where the upstream's digest is known: its manifest can be named, not read
    a stand-in                   where it is not: an image without layers that says in its configuration what it is
    a chart                      whole, from the kit's own sources
"""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import resources
from typing import Any

import orjson

from azsandbox.registry import charts
from azsandbox.registry.content import Content, Contents, Stored, describe
from azsandbox.registry.manifests import OCI_MANIFEST, parse

PREFIX = "upstream-"  # of the content ids, which no registry of the sandbox has
STAND_IN = "io.azsandbox.stand-in"  # the label and annotation that name the image that a stand-in stands in for
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"


@functools.cache
def catalogue() -> dict[str, Any]:
    """The images: repository with host → tag → digest and media type."""
    text = resources.files("azsandbox").joinpath("data/registry/upstream.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def host_of(name: str) -> str | None:
    """The public registry that a host name is of: `registry-1.docker.io` is `docker.io`."""
    return next((host for host, names in catalogue()["names"].items() if name.lower() in names), None)


def hosts() -> list[str]:
    """Host names of all public registries that are known."""
    return sorted(name for names in catalogue()["names"].values() for name in names)


def repository_of(host: str, name: str) -> str:
    """The repository that a short name means there: official images of Docker Hub are in library/."""
    return f"library/{name}" if host == "docker.io" and "/" not in name else name


class Upstream:
    """The public registries, read-only."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._ready: dict[str, Content] = {}

    def content(self, host: str) -> Content:
        """What the registry of that name holds, as far as the kit knows it."""
        if host not in self._ready:
            content = self._contents.of(PREFIX + host)
            fingerprint = _fingerprint(host)
            record = self._contents.bucket.get("upstream", host)
            if record is None or record.value != fingerprint:
                self._contents.drop(PREFIX + host)
                _fill(content, host)
                self._contents.bucket.put("upstream", host, fingerprint)
            self._ready[host] = content
        return self._ready[host]


def _fingerprint(host: str) -> bytes:
    """Changes with whatever `_fill` makes of the catalogue."""
    digest = hashlib.sha256(orjson.dumps([host, catalogue()["images"]], option=orjson.OPT_SORT_KEYS))
    for name, row in sorted(charts.offered().items()):
        if row["oci"].startswith(host + "/"):
            for archive in charts.archives(name):
                digest.update(archive.manifest)
    return digest.hexdigest().encode()


def _fill(content: Content, host: str) -> None:
    for full, tags in catalogue()["images"].items():
        if full.startswith(host + "/"):
            repository = full.removeprefix(host + "/")
            for tag, image in tags.items():
                stored = _known(full, tag, image) if image else _stand_in(content, repository, f"{full}:{tag}")
                content.put_manifest(repository, stored, [tag])
    for name, row in charts.offered().items():
        if row["oci"].startswith(host + "/"):
            repository = row["oci"].removeprefix(host + "/")
            for archive in charts.archives(name):
                for blob in (archive.config, archive.content):
                    content.add_blob(repository, blob)
                _put(content, repository, archive.manifest, archive.version)


def _known(full: str, tag: str, image: dict[str, str]) -> Stored:
    """The record of an image of which digest and media type are known."""
    return Stored(image["digest"], image["mediaType"], "", "", upstream=f"{full}:{tag}")


def _stand_in(content: Content, repository: str, image: str) -> Stored:
    """An image without layers in the place of one whose digest is not known."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {STAND_IN: image}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    blob = orjson.dumps(config)
    digest = content.add_blob(repository, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": IMAGE_CONFIG, "digest": digest, "size": len(blob)},
        "layers": [],
        "annotations": {STAND_IN: image},
    }
    body = orjson.dumps(manifest)
    name = "sha256:" + hashlib.sha256(body).hexdigest()
    return describe(parse(OCI_MANIFEST, body), name, body, config, {})


def _put(content: Content, repository: str, manifest: bytes, tag: str) -> None:
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    content.put_manifest(repository, describe(parse(OCI_MANIFEST, manifest), digest, manifest, {}, {}), [tag])
