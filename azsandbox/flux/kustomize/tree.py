"""The files of an artifact, in memory."""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from azsandbox.flux import archives

MOST_UNPACKED = 512 * 1024 * 1024  # bytes; half of the memory that the release gives kustomize-controller


class Tree:
    """Files by their path, without a slash in front. "" is the root. It is not changed once it is made."""

    def __init__(self, files: dict[str, bytes], folders: frozenset[str] = frozenset()) -> None:
        self.files = dict(sorted(files.items()))
        parents = {parent for name in files for parent in _parents(name)}
        self.folders = frozenset({"", *parents, *folders})

    @classmethod
    def read(cls, archive: Path) -> Tree:
        """The content of an artifact's archive.

        Raises tarfile.TarError for what is none or has names that lead out of it, FileNotFoundError if it is gone.
        Links are skipped: source-controller leaves them out of its artifacts.
        """
        files: dict[str, bytes] = {}
        folders: set[str] = set()
        size = 0
        with archives.opened(archive.read_bytes(), MOST_UNPACKED, plain=True) as opened:
            for member in opened:
                size += member.size
                if size > MOST_UNPACKED:
                    text = f'tar "{member.name}" is bigger than max archive size of {MOST_UNPACKED} bytes'
                    raise tarfile.TarError(text)
                name = posixpath.normpath(member.name)
                if name.startswith(("/", "../")) or name == ".." or "\\" in member.name:
                    raise tarfile.TarError(f'tar contained invalid name error "{member.name}"')
                if member.isdir():
                    folders |= {name, *_parents(name)} if name != "." else set()
                elif member.isfile():
                    content = opened.extractfile(member)
                    files[name] = content.read() if content else b""
        return cls(files, frozenset(folders))

    def has(self, path: str) -> bool:
        """Whether there is a file or a folder at a path."""
        return path in self.files or path in self.folders

    def children(self, folder: str) -> list[str]:
        """Names in a folder, sorted as Go sorts them."""
        below = f"{folder}/" if folder else ""
        names = {
            path.removeprefix(below).partition("/")[0]
            for path in (*self.files, *self.folders)
            if path.startswith(below)
        }
        return sorted(names - {""}, key=lambda name: name.encode())

    def with_file(self, path: str, content: bytes) -> Tree:
        """The same tree with one file replaced or added."""
        return Tree({**self.files, path: content}, self.folders)

    def write(self, folder: Path) -> None:
        """Writes the files below a folder that is there."""
        for name in sorted(self.folders - {""}):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def digest(self, counts: Callable[[str], bool]) -> bytes:
        """A hash of the names and the contents of those files and folders whose paths count."""
        found = hashlib.sha256()
        for name in sorted(filter(counts, self.folders)):
            found.update(f"{name}\0".encode())
        found.update(b"\0")
        for name, content in self.files.items():
            if counts(name):
                found.update(f"{name}\0{len(content)}\0".encode())
                found.update(content)
        return found.digest()


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def secure_join(path: str) -> str:
    """A path of a spec within an artifact: what leads out of it is clamped to its root (filepath-securejoin)."""
    return posixpath.normpath("/" + path).strip("/")
