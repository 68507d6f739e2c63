"""Blobs, trees and commits as git keeps them, and the pack that carries them to a server (gitformat-pack)."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

_KINDS = {"commit": 1, "tree": 2, "blob": 3}  # numbers in a pack
_FOLDER = b"40000"
_NOT_IN_A_NAME = re.compile(r"[<>\n]")  # what go-git leaves out of names and addresses

Read = Callable[[str], Awaitable[bytes]]  # an object's content by its SHA-1


@dataclass(frozen=True)
class NewObject:
    """An object that is yet to be sent."""

    kind: str
    data: bytes

    @property
    def name(self) -> str:
        """Its SHA-1."""
        return hashlib.sha1(b"%s %d\0%s" % (self.kind.encode(), len(self.data), self.data)).hexdigest()  # noqa: S324


@dataclass(frozen=True)
class Author:
    """Who a commit is by; the name may be empty, as Flux allows."""

    name: str
    email: str

    def at(self, seconds: int) -> str:
        """As a commit says it, `seconds` since 1970."""
        name, email = (_NOT_IN_A_NAME.sub("", part) for part in (self.name, self.email))
        return f"{name} <{email}> {seconds} +0000"


async def tree_with(root: str, files: Mapping[str, bytes], read: Read) -> list[NewObject]:
    """What is new when files that a tree has get other contents: their blobs, and trees, the root last.

    `root` is the SHA-1 of the tree; `read` gives the content of those that it names.
    """
    new: list[NewObject] = []

    async def changed(tree: str, inside: Mapping[str, bytes]) -> str:
        folders: dict[str, dict[str, bytes]] = {}
        for path, data in inside.items():
            first, _, rest = path.partition("/")
            folders.setdefault(first, {})[rest] = data
        entries = []
        for mode, name, sha in _entries(await read(tree)):
            wanted = folders.get(name.decode("utf-8", "replace"))
            if wanted is not None and mode == _FOLDER:
                sha = await changed(sha, wanted)
            elif wanted is not None:
                sha = _added(new, NewObject("blob", wanted[""]))
            entries.append(b"%s %s\0%s" % (mode, name, bytes.fromhex(sha)))
        return _added(new, NewObject("tree", b"".join(entries)))

    await changed(root, files)
    return new


def _added(new: list[NewObject], obj: NewObject) -> str:
    new.append(obj)
    return obj.name


def _entries(listing: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    """Mode, name and SHA-1 of what a tree lists, in its order."""
    at = 0
    while at < len(listing):
        space, zero = listing.index(b" ", at), listing.index(b"\0", at)
        yield listing[at:space], listing[space + 1 : zero], listing[zero + 1 : zero + 21].hex()
        at = zero + 21


def commit_of(tree: str, parent: str, author: Author, seconds: int, message: str) -> NewObject:
    """A commit of a tree after another commit, written at `seconds` since 1970."""
    said = author.at(seconds)
    return NewObject("commit", f"tree {tree}\nparent {parent}\nauthor {said}\ncommitter {said}\n\n{message}".encode())


def tree_name(commit: bytes) -> str:
    """The SHA-1 of the tree of a commit."""
    return commit.split(b"\n", 1)[0].removeprefix(b"tree ").decode("ascii")


def packed(objects: list[NewObject]) -> bytes:
    """A pack of objects, each of them whole."""
    parts = [b"PACK" + struct.pack(">II", 2, len(objects))]
    for obj in objects:
        parts += (_head(_KINDS[obj.kind], len(obj.data)), zlib.compress(obj.data))
    body = b"".join(parts)
    return body + hashlib.sha1(body).digest()  # noqa: S324


def _head(kind: int, size: int) -> bytes:
    """Kind and size of an object: four bits of the size beside the kind, then seven in each byte."""
    found = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        found[-1] |= 128
        found.append(size & 127)
        size >>= 7
    return bytes(found)
