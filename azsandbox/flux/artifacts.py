"""The storage of source-controller: artifacts as files, an archive each."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from pathlib import Path

from azsandbox.controllers.client import Object
from azsandbox.controllers.events import timestamp

RETENTION_SECONDS, RETENTION_RECORDS = 60.0, 2


class Artifacts:
    """Files below `root`, at the paths that the statuses of sources name. `namespace` is that of source-controller."""

    def __init__(self, root: Path, namespace: str) -> None:
        self.root, self.namespace = root, namespace

    def file(self, artifact: Object) -> Path:
        """Where an artifact lies. Raises ValueError for a path that leads out of the storage."""
        found = self.root / str(artifact["path"])
        if not found.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"the path {artifact['path']!r} of an artifact leads out of the storage")
        return found

    def holds(self, artifact: Object | None) -> bool:
        """Whether an artifact that a status names is there, with the content that it names."""
        if not artifact:
            return False
        file = self.file(artifact)
        return file.is_file() and f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" == artifact.get("digest")

    def store(self, path: str, data: bytes, revision: str, metadata: dict[str, str] | None = None) -> Object:
        """Keeps `data` at `path` (kind/namespace/name/file); returns the artifact as a status has it."""
        artifact: Object = {
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            "lastUpdateTime": timestamp(),
            "path": path,
            "revision": revision,
            "size": len(data),
            "url": self.url(path),
        }
        if metadata:
            artifact["metadata"] = metadata
        file = self.file(artifact)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as partial:
            partial.write(data)
        Path(partial.name).replace(file)  # at once, so that no reader sees half of it
        return artifact

    def url(self, path: str) -> str:
        """Where a status says that other controllers get an artifact."""
        return f"http://source-controller.{self.namespace}.svc.cluster.local./{path}"

    def problem(self, artifact: Object) -> str:
        """What is wrong with an artifact that is there, empty if nothing is."""
        file = self.file(artifact)
        if not file.is_file() or self.holds(artifact):
            return ""
        return f"computed digest doesn't match '{artifact.get('digest', '')}'"

    def link(self, artifact: Object, name: str) -> str:
        """Makes an artifact reachable as `name` beside it; returns the URL of that."""
        file = self.file(artifact)
        link = file.with_name(name)
        link.unlink(missing_ok=True)
        link.symlink_to(file.name)
        return self.url(f"{str(artifact['path']).rpartition('/')[0]}/{name}")

    def remove(self, artifact: Object) -> None:
        """Removes one artifact."""
        self.file(artifact).unlink(missing_ok=True)

    def collect(self, artifact: Object) -> int:
        """Removes what lies beside an artifact and is old, or one too many; returns how many files went.

        That is what source-controller keeps by default (--artifact-retention-ttl, --artifact-retention-records).
        """
        file = self.file(artifact)
        if not file.parent.is_dir():
            return 0
        files = [other for other in file.parent.iterdir() if not other.name.startswith(".") and not other.is_symlink()]
        beside = sorted((other for other in files if other != file), key=lambda other: other.stat().st_mtime)
        now = time.time()
        old = [other for other in beside if now - other.stat().st_mtime > RETENTION_SECONDS]
        rest = [other for other in beside if other not in old]
        too_many = max(len(files) - len(old) - RETENTION_RECORDS, 0)
        gone = old + rest[:too_many]
        for other in gone:
            other.unlink(missing_ok=True)
        return len(gone)

    def forget(self, kind: str, namespace: str, name: str) -> bool:
        """Removes every artifact of an object; returns whether there was any."""
        folder = self.root / kind.lower() / namespace / name
        there = folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        return there
