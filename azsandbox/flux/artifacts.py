"""Artifacts of sources, as files under a folder of the sandbox."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from pathlib import Path

from azsandbox.controllers.client import Object
from azsandbox.controllers.events import timestamp

# What every artifact leaves out (fluxcd/pkg/sourceignore): version control, media, archives, CI and such files
_FOLDERS = {".git", ".github", ".circleci", ".travis"}
_FILES = {".gitignore", ".gitmodules", ".gitattributes", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", ".goreleaser.yml", ".sops.yaml"}  # fmt: skip
_ENDINGS = (".jpg", ".jpeg", ".gif", ".png", ".wmv", ".flv", ".tar.gz", ".zip")
_HOST = "http://source-controller.flux-system.svc.cluster.local."


class Artifacts:
    """The storage of source-controller."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, artifact: Object) -> Path:
        """Where an artifact lies."""
        return self.root / str(artifact["path"])

    def archive(self, kind: str, namespace: str, name: str, file: str, revision: str, folder: Path) -> Object:
        """Packs a folder; returns the artifact as a status has it. Equal content gives equal bytes."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for path in sorted(folder.rglob("*")):
                part = path.relative_to(folder)
                if path.is_file() and not self._ignored(part):
                    info = tarfile.TarInfo(str(part))
                    info.size, info.mode = path.stat().st_size, 0o600
                    with path.open("rb") as content:
                        tar.addfile(info, content)
        data = gzip.compress(raw.getvalue(), mtime=0)
        path_in_storage = f"{kind.lower()}/{namespace}/{name}/{file}"
        target = self.root / path_in_storage
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.iterdir():
            old.unlink()
        target.write_bytes(data)
        return {
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            "lastUpdateTime": timestamp(),
            "path": path_in_storage,
            "revision": revision,
            "size": len(data),
            "url": f"{_HOST}/{path_in_storage}",
        }

    def _ignored(self, part: Path) -> bool:
        return bool(_FOLDERS & set(part.parts)) or part.name in _FILES or part.name.endswith(_ENDINGS)

    def unpack(self, artifact: Object, folder: Path) -> None:
        """Unpacks an artifact into a folder."""
        with tarfile.open(self.file(artifact)) as tar:
            tar.extractall(folder, filter="data")

    def forget(self, kind: str, namespace: str, name: str) -> bool:
        """Removes all artifacts of an object; whether there was any."""
        folder = self.root / kind.lower() / namespace / name
        there = folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        return there
