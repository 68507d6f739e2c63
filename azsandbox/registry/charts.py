"""The charts that the kit carries (data/charts), packed as Helm packs them, and the OCI artifacts and repository
indexes that they are offered in (data/registry/charts.json).

Formats: Helm documentation, "Charts", "The Chart Repository Guide"; helm/community, HIP-0006 (OCI media types).
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import orjson
import yaml

from azsandbox.registry.manifests import OCI_MANIFEST

CONFIG = "application/vnd.cncf.helm.config.v1+json"
LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclass(frozen=True)
class Archive:
    """One version of a chart, packed."""

    metadata: dict[str, Any]  # Chart.yaml
    content: bytes  # NAME-VERSION.tgz
    created: str

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        return str(self.metadata["version"])

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}.tgz"

    @property
    def config(self) -> bytes:
        """The configuration of the OCI artifact."""
        return orjson.dumps(self.metadata)

    @property
    def manifest(self) -> bytes:
        """The manifest of the OCI artifact."""
        annotations = {
            "org.opencontainers.image.created": self.created,
            "org.opencontainers.image.description": self.metadata["description"],
            "org.opencontainers.image.source": self.metadata["home"],
            "org.opencontainers.image.title": self.name,
            "org.opencontainers.image.version": self.version,
        }
        body = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(CONFIG, self.config),
            "layers": [_descriptor(LAYER, self.content)],
            "annotations": annotations,
        }
        return orjson.dumps(body)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


@functools.cache
def offered() -> dict[str, dict[str, Any]]:
    """The charts with their addresses and versions."""
    text = resources.files("azsandbox").joinpath("data/registry/charts.json").read_text("utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)["charts"]
    return found


@functools.cache
def archives(name: str) -> tuple[Archive, ...]:
    """All versions of a chart, the newest first, as charts.json lists them."""
    row = offered()[name]
    return tuple(pack(name, v["version"], v["appVersion"], row["created"]) for v in row["versions"])


def pack(name: str, version: str, app_version: str, created: str) -> Archive:
    """Packs a chart's sources under a version. The same sources always give the same bytes."""
    source = resources.files("azsandbox").joinpath("data/charts", name)
    metadata = yaml.safe_load(source.joinpath("Chart.yaml").read_text("utf-8"))
    metadata |= {"version": version, "appVersion": app_version}
    files = dict(sorted(_files(source, "")))
    files["Chart.yaml"] = yaml.safe_dump(metadata, sort_keys=False).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return Archive(metadata, gzip.compress(packed.getvalue(), mtime=0), created)


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def index(name: str, address: str) -> bytes:
    """index.yaml of the chart repository at `address`."""
    entries = [
        {
            **archive.metadata,
            "created": archive.created,
            "digest": hashlib.sha256(archive.content).hexdigest(),
            "urls": [f"{address}/{archive.file_name}"],
        }
        for archive in archives(name)
    ]
    body = {"apiVersion": "v1", "entries": {name: entries}, "generated": offered()[name]["created"]}
    return yaml.safe_dump(body, sort_keys=False).encode()
