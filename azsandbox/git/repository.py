"""One bare repository, read in this process: its references from their files, its objects by git."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from azsandbox.git.commit import OBJECT_ID, ZERO, Commit, Tag, parse_commit, parse_tag
from azsandbox.git.program import GitFailed, git

HEADS, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True)
class Entry:
    """One entry of a tree. `size` is that of a blob in bytes, None for trees and submodules."""

    mode: str
    kind: str  # blob, tree or commit
    id: str
    size: int | None
    path: str


@dataclass(frozen=True)
class FileChange:
    """What a commit did to a file. `status` is git's letter: A, M, D, R, C, T."""

    status: str
    path: str
    previous: str = ""  # the path before, of a rename or copy


class Repository:
    """A bare repository at `path`; `owner` and `name` are as they were created. Branch names are without refs/heads/."""

    def __init__(self, owner: str, name: str, path: Path) -> None:
        self.owner, self.name, self.path = owner, name, path

    @property
    def full_name(self) -> str:
        """Owner and name, as `contoso/gitops`."""
        return f"{self.owner}/{self.name}"

    # --- references, read without a process

    def references(self) -> dict[str, str]:
        """Full names of references with the ids that they point to, sorted."""
        found = self._packed()
        base = self.path / "refs"
        for folder, _, names in os.walk(base):
            for name in names:
                if name.endswith(".lock"):
                    continue
                file = Path(folder, name)
                try:
                    value = file.read_text().strip()
                except FileNotFoundError:  # deleted since
                    continue
                if OBJECT_ID.fullmatch(value):
                    found["refs/" + file.relative_to(base).as_posix()] = value
        return dict(sorted(found.items()))

    def resolve(self, name: str) -> str | None:
        """The id that a branch, a tag or a full reference name points to (an annotated tag: the tag's own); None."""
        candidates = [name] if name.startswith("refs/") else [HEADS + name, TAGS + name]
        for full in candidates:
            if ".." in full.split("/") or "\0" in full:
                return None
            try:
                value = (self.path / full).read_text().strip()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, OSError):
                value = self._packed().get(full, "")
            if OBJECT_ID.fullmatch(value):
                return value
        return None

    def branches(self) -> dict[str, str]:
        """Branches with the commits that they point to."""
        return {name.removeprefix(HEADS): id_ for name, id_ in self.references().items() if name.startswith(HEADS)}

    def tags(self) -> dict[str, str]:
        """Tags with what they point to; an annotated one with the tag object."""
        return {name.removeprefix(TAGS): id_ for name, id_ in self.references().items() if name.startswith(TAGS)}

    @property
    def default_branch(self) -> str:
        """The branch that HEAD names."""
        return (self.path / "HEAD").read_text().strip().removeprefix("ref: " + HEADS)

    def _packed(self) -> dict[str, str]:
        try:
            lines = (self.path / "packed-refs").read_text().splitlines()
        except FileNotFoundError:
            return {}
        pairs = (line.split(" ", 1) for line in lines if line and line[0] not in "#^")
        return {name: id_ for id_, name in pairs}

    # --- objects

    async def commit_id(self, revision: str) -> str | None:
        """The commit that a branch, a tag, a reference or a whole or shortened id names; None if there is none."""
        given = self.resolve(revision) or revision
        try:
            out = await git(self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{given}^{{commit}}")
        except GitFailed:
            return None
        return out.decode().strip()

    async def commit(self, revision: str) -> Commit:
        """The commit that `revision` names. Raises GitFailed."""
        id_ = await self.commit_id(revision)
        if id_ is None:
            raise GitFailed(f"{self.full_name} has no commit {revision!r}")
        return (await self.commits([id_]))[0]

    async def commits(self, ids: list[str]) -> list[Commit]:
        """The commits of these ids. Raises GitFailed."""
        return [parse_commit(id_, raw) for id_, (_, raw) in zip(ids, await self._objects(ids), strict=True)]

    async def tag(self, id_: str) -> Tag | None:
        """The annotated tag of that id; None if it is something else. Raises GitFailed."""
        kind, raw = (await self._objects([id_]))[0]
        return parse_tag(id_, raw) if kind == "tag" else None

    async def kinds(self, ids: list[str]) -> list[str]:
        """What objects are: commit, tag, tree, blob, or "missing"."""
        if not ids:
            return []
        names = "".join(f"{id_}\n" for id_ in ids).encode()
        out = await git(self.path, "cat-file", "--batch-check=%(objecttype)", given=names)
        return [line.split()[-1] for line in out.decode().splitlines()]

    async def _objects(self, ids: list[str]) -> list[tuple[str, bytes]]:
        if not ids:
            return []
        out = await git(self.path, "cat-file", "--batch", given="".join(f"{id_}\n" for id_ in ids).encode())
        found, at = [], 0
        for id_ in ids:
            end = out.index(b"\n", at)
            about = out[at:end].decode().split()
            if len(about) != 3:
                raise GitFailed(f"{self.full_name} has no object {id_}")
            size = int(about[2])
            found.append((about[1], out[end + 1 : end + 1 + size]))
            at = end + 2 + size
        return found

    async def history(
        self, revisions: list[str], path: str = "", skip: int = 0, most: int = 20, limits: list[str] | None = None
    ) -> list[str]:
        """Ids of commits that `revisions` reach (`^id` leaves out), the newest first; those that touch `path`, if
        given. `limits` are further options of git-rev-list. Raises GitFailed."""
        out = await git(
            self.path,
            "--literal-pathspecs",
            "rev-list",
            f"--max-count={most}",
            f"--skip={skip}",
            *(limits or []),
            "--end-of-options",
            *revisions,
            "--",
            *([path] if path else []),
        )
        return out.decode().split()

    async def between(self, old: str, new: str, most: int = 20) -> list[Commit]:
        """The commits that `new` has and `old` (zeros: nothing) has not, oldest first, at most the latest `most`."""
        revisions = [new] if old == ZERO else [new, f"^{old}"]
        return await self.commits(list(reversed(await self.history(revisions, most=most))))

    async def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` contains `old`, so that a move from one to the other is no force."""
        try:
            await git(self.path, "merge-base", "--is-ancestor", old, new)
        except GitFailed:
            return False
        return True

    async def changes(self, ids: list[str]) -> dict[str, list[FileChange]]:
        """What each of these commits changed, against its first parent. Raises GitFailed."""
        if not ids:
            return {}
        options = ("-r", "--root", "--no-renames", "--diff-merges=first-parent", "--name-status", "-z")
        out = await git(self.path, "diff-tree", "--stdin", *options, given="".join(f"{id_}\n" for id_ in ids).encode())
        found: dict[str, list[FileChange]] = {id_: [] for id_ in ids}
        current = found[ids[0]]
        words = iter(out.decode("utf-8", "surrogateescape").split("\0"))
        for word in words:
            word = word.lstrip("\n")
            if word in found:
                current = found[word]
            elif word:
                current.append(FileChange(word[0], next(words)))
        return found

    async def entries(self, commit: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """The entries of a commit's tree at `path` ("": the root), their paths from the root.
        Raises GitFailed when there is no such tree."""
        found = await self.entries_of(f"{commit}:{path}", recursive=recursive)
        return [replace(entry, path=f"{path}/{entry.path}") for entry in found] if path else found

    async def entries_of(self, tree: str, *, recursive: bool = False) -> list[Entry]:
        """The entries of what has a tree: a tree's or commit's id, or `commit:path`. Raises GitFailed."""
        options = ["-r", "-t"] if recursive else []
        out = await git(self.path, "ls-tree", "-z", "-l", *options, "--end-of-options", tree)
        found = []
        for row in out.decode("utf-8", "surrogateescape").split("\0"):
            if row:
                about, name = row.split("\t", 1)
                mode, kind, id_, size = about.split()
                found.append(Entry(mode, kind, id_, None if size == "-" else int(size), name))
        return found

    async def tree_id(self, revision: str) -> str:
        """The id of the tree of a commit. Raises GitFailed."""
        out = await git(self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}")
        return out.decode().strip()

    async def entry(self, commit: str, path: str) -> Entry | None:
        """The entry of one path, or None. Raises GitFailed."""
        out = await git(
            self.path, "--literal-pathspecs", "ls-tree", "-z", "-l", "--full-tree", "--end-of-options", commit, path
        )
        row = out.decode("utf-8", "surrogateescape").rstrip("\0")
        if not row:
            return None
        about, name = row.split("\t", 1)
        mode, kind, id_, size = about.split()
        return Entry(mode, kind, id_, None if size == "-" else int(size), name)

    async def files(self, commit: str, path: str = "") -> dict[str, str]:
        """Paths of the files of a commit with their blob ids; those below `path`, if given. Raises GitFailed."""
        below = path.strip("/")
        found = await self.entries(commit, recursive=True)
        return {
            e.path: e.id
            for e in found
            if e.kind == "blob" and (not below or e.path == below or e.path.startswith(below + "/"))
        }

    async def blob(self, id_: str) -> bytes:
        """The content of a blob. Raises GitFailed."""
        return await git(self.path, "cat-file", "blob", id_)

    async def read(self, commit: str, path: str) -> bytes:
        """The content of one file. Raises GitFailed."""
        return await git(self.path, "cat-file", "blob", f"{commit}:{path}")
