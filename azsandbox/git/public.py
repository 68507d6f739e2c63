"""Public repositories of others that the kit carries a stand-in of (data/git/public.json), for everybody to read.

One is made when it is first asked for, as a real repository with one commit, and made anew when the kit's files have
changed. Its commit is the same in every sandbox. Nobody in the lab belongs to its owner, so that nobody pushes to it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any

from azsandbox.git import facts
from azsandbox.git.program import git
from azsandbox.git.repositories import Repositories
from azsandbox.git.repository import HEADS
from azsandbox.store import Bucket

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

COLLECTION = "public"
AUTHOR = "AKS baseline lab <lab@example.com>"


@functools.cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in facts.public()["repositories"]}


class PublicRepositories:
    """Makes what is in the catalogue in `repositories`; `bucket` keeps what it was made of."""

    def __init__(self, repositories: Repositories, bucket: Bucket) -> None:
        self._repositories, self._bucket = repositories, bucket
        self._ready: set[str] = set()
        self._lock = asyncio.Lock()

    async def prepare(self, path: str) -> None:
        """Makes the repository that the path of a request names, if it is one of the catalogue and is not there."""
        words = [word for word in path.split("/") if word][:3]
        if words[:1] == ["repos"]:
            words = words[1:]
        name = _names().get("/".join(words[:2]).removesuffix(".git").lower())
        if name is None or name in self._ready:
            return
        async with self._lock:
            if name not in self._ready:
                await self._make(name)
                self._ready.add(name)

    async def _make(self, full_name: str) -> None:
        row = facts.public()["repositories"][full_name]
        stream = _stream(row, dict(_files(full_name)))
        fingerprint = hashlib.sha256(stream).hexdigest().encode()
        owner, name = full_name.split("/")
        settings, record = self._repositories.settings(owner, name), self._bucket.get(COLLECTION, full_name.lower())
        if settings is not None and record is not None and record.value == fingerprint:
            return
        if settings is not None:
            await self._repositories.delete(settings)
        branch, description = row["branch"], row["description"]
        made = await self._repositories.create(owner, name, default_branch=branch, description=description)
        await git(made.path, "fast-import", "--quiet", given=stream)
        self._bucket.put(COLLECTION, full_name.lower(), fingerprint)


def _files(full_name: str) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of a repository's files, in the order of their paths."""
    root = resources.files("azsandbox").joinpath("data", "git", "public", *full_name.split("/"))
    yield from sorted(_below(root, ""))


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def _stream(row: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """One commit with these files, as `git fast-import` reads it."""
    seconds = int(dt.datetime.fromisoformat(row["written"]).timestamp())
    message = row["message"].encode()
    parts = [f"commit {HEADS}{row['branch']}\ncommitter {AUTHOR} {seconds} +0000\n".encode()]
    parts.append(b"data %d\n%s\n" % (len(message), message))
    for path, content in files.items():
        parts.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    return b"".join(parts)
