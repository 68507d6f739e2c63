"""What a commit changed, file by file, with the text of the change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from azsandbox.git.program import git
from azsandbox.git.repository import Repository

_STATUS = {"A": "added", "D": "removed", "M": "modified", "T": "changed", "R": "renamed", "C": "copied"}
_OPTIONS = ("--root", "-r", "--find-renames", "--diff-merges=first-parent", "--no-commit-id")


@dataclass(frozen=True)
class FileDiff:
    """One file. `id` is the blob after the change (before it, for one that was removed); `patch` is None for what is
    no text; `previous` is the path before a rename."""

    status: str
    path: str
    id: str
    additions: int
    deletions: int
    patch: str | None
    previous: str = ""


async def of_commit(repository: Repository, commit: str) -> list[FileDiff]:
    """What `commit` changed against its first parent. Raises GitFailed."""
    raw = await git(repository.path, "diff-tree", *_OPTIONS, "--raw", "--no-abbrev", "-z", commit)
    counted = await git(repository.path, "diff-tree", *_OPTIONS, "--numstat", "-z", commit)
    text = await git(repository.path, "diff-tree", *_OPTIONS, "-p", "--no-color", "--no-ext-diff", commit)
    patches = [_hunks(part) for part in re.split(r"^diff --git .*\n", text.decode("utf-8", "replace"), flags=re.M)[1:]]
    found = []
    for entry, counts, patch in zip(_raw(raw), _counts(counted), patches, strict=True):
        status, path, previous, id_ = entry
        found.append(FileDiff(_STATUS.get(status, "changed"), path, id_, *counts, patch, previous))
    return found


def _raw(out: bytes) -> list[tuple[str, str, str, str]]:
    words = iter(out.decode("utf-8", "surrogateescape").split("\0"))
    found = []
    for word in words:
        if not word.startswith(":"):
            continue
        _, _, old, new, status = word[1:].split(" ")
        path, previous = next(words), ""
        if status[0] in "RC":
            path, previous = next(words), path
        found.append((status[0], path, previous, old if status[0] == "D" else new))
    return found


def _counts(out: bytes) -> list[tuple[int, int]]:
    """Lines added and taken away; zeros for what is no text."""
    words = iter(out.decode("utf-8", "surrogateescape").split("\0"))
    found = []
    for word in words:
        if word.count("\t") != 2:
            continue
        added, removed, path = word.split("\t")
        if not path:  # a rename: both paths follow
            next(words), next(words)
        found.append((int(added) if added != "-" else 0, int(removed) if removed != "-" else 0))
    return found


def _hunks(part: str) -> str | None:
    start = re.search(r"^@@ ", part, flags=re.M)
    return part[start.start() :].rstrip("\n") if start else None
