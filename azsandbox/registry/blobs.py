"""Blobs on disk: files named by their digests, and the uploads that become such files.

A file is shared by all repositories and registries whose records name it. What is received is hashed as it is written;
no blob is ever whole in memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

CHUNK = 256 * 1024  # bytes read at a time
_HEX = re.compile(r"[0-9a-f]{64,128}")
_ID = re.compile(r"[0-9a-f-]{36}")


class Blobs:
    """The folder `blobs` below the sandbox's home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads = folder / "uploads"
        self._hashes: dict[str, tuple[str, int, hashlib._Hash]] = {}  # of uploads under way: algorithm, bytes, hash

    # --- files

    def path(self, digest: str) -> Path:
        """Where the blob of a digest lies. Raises ValueError for what is no digest."""
        algorithm, _, code = digest.partition(":")
        if algorithm not in ("sha256", "sha512") or not _HEX.fullmatch(code):
            raise ValueError(f"{digest!r} is not a digest")
        return self.folder / algorithm / code[:2] / code

    def size(self, digest: str) -> int | None:
        """Bytes of a blob; None if there is none."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    async def read(self, digest: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (inclusive) of a blob. Its file is opened at the first chunk."""
        with self.path(digest).open("rb") as file:
            file.seek(start)
            left = end - start + 1
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def content(self, digest: str) -> bytes:
        """A small blob as a whole. Raises FileNotFoundError."""
        return self.path(digest).read_bytes()

    def put(self, content: bytes) -> str:
        """Stores bytes that are in memory already; returns their digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        if not path.exists():
            self._make(path.parent)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.chmod(0o600)
            fresh.replace(path)
        return digest

    def remove(self, digest: str) -> None:
        """Deletes a file that no record names any more."""
        self.path(digest).unlink(missing_ok=True)

    def all(self) -> Iterator[str]:
        """Digests of all files."""
        for algorithm in ("sha256", "sha512"):
            for path in (self.folder / algorithm).glob("*/*"):
                if _HEX.fullmatch(path.name):
                    yield f"{algorithm}:{path.name}"

    # --- uploads

    def begin(self, upload: str) -> None:
        """Makes the file of a new upload."""
        self._make(self.uploads)
        self._upload(upload).touch(mode=0o600)

    def uploaded(self, upload: str) -> int:
        """Bytes that an upload has. Raises FileNotFoundError."""
        return self._upload(upload).stat().st_size

    async def append(self, upload: str, chunks: AsyncIterator[bytes], algorithm: str = "sha256") -> int:
        """Adds what comes in to an upload; returns its size. What came before a failure stays."""
        name, size, digest = self._hash(upload, algorithm)
        file: BinaryIO
        with self._upload(upload).open("ab") as file:
            try:
                async for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            finally:
                self._hashes[upload] = (name, size, digest)
        return size

    def finish(self, upload: str, digest: str) -> int | None:
        """Makes an upload the blob of `digest` and returns its size; None, and nothing changes, if it has another."""
        algorithm = digest.partition(":")[0]
        _, size, found = self._hash(upload, algorithm)
        if f"{algorithm}:{found.hexdigest()}" != digest:
            return None
        path = self.path(digest)
        self._make(path.parent)
        self._upload(upload).replace(path)
        self._hashes.pop(upload, None)
        return size

    def cancel(self, upload: str) -> None:
        """Drops an upload."""
        self._hashes.pop(upload, None)
        self._upload(upload).unlink(missing_ok=True)

    def all_uploads(self) -> list[str]:
        """Ids of the uploads that have a file."""
        return [path.name for path in self.uploads.glob("*")]

    def _upload(self, upload: str) -> Path:
        if not _ID.fullmatch(upload):
            raise FileNotFoundError(upload)
        return self.uploads / upload

    def _hash(self, upload: str, algorithm: str) -> tuple[str, int, hashlib._Hash]:
        """The hash of what an upload has, made from its file after a restart or for another algorithm."""
        path = self._upload(upload)
        size = path.stat().st_size
        known = self._hashes.get(upload)
        if known is not None and known[:2] == (algorithm, size):
            return known
        digest = hashlib.new(algorithm)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return algorithm, size, digest

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
