"""One bare repository: its references, and what is read from it without HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
ZERO = "0" * 40


class GitFailed(Exception):
    """A git command ended with an error; the message is what it said."""


def environment() -> dict[str, str]:
    """What git runs with: no configuration but the repository's own, no prompt, no locale."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }


async def git(folder: Path, *arguments: str, variables: dict[str, str] | None = None) -> bytes:
    """Runs git on the repository at `folder` and gives its output. Raises GitFailed."""
    process = await asyncio.create_subprocess_exec(
        "git",
        "--git-dir",
        str(folder),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment() | (variables or {}),
    )
    out, problem = await process.communicate()
    if process.returncode:
        message = problem.decode("utf-8", "replace").strip() or out.decode("utf-8", "replace").strip()
        raise GitFailed(message or f"git {arguments[0]} ended with {process.returncode}")
    return out


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself. Times are seconds since 1970."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    authored: int
    committer_name: str
    committer_email: str
    committed: int
    message: str


class Repository:
    """A bare repository at `path`. Branch names are without `refs/heads/`."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path

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
        candidates = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
        for full in candidates:
            if ".." in full.split("/"):
                return None
            try:
                value = (self.path / full).read_text().strip()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                value = self._packed().get(full, "")
            if OBJECT_ID.fullmatch(value):
                return value
        return None

    def branches(self) -> dict[str, str]:
        """Branches with the commits that they point to."""
        prefix = "refs/heads/"
        return {name.removeprefix(prefix): id_ for name, id_ in self.references().items() if name.startswith(prefix)}

    def tags(self) -> dict[str, str]:
        """Tags with what they point to; an annotated one with the tag object."""
        prefix = "refs/tags/"
        return {name.removeprefix(prefix): id_ for name, id_ in self.references().items() if name.startswith(prefix)}

    @property
    def default_branch(self) -> str:
        """The branch that HEAD names."""
        return (self.path / "HEAD").read_text().strip().removeprefix("ref: refs/heads/")

    def _packed(self) -> dict[str, str]:
        try:
            lines = (self.path / "packed-refs").read_text().splitlines()
        except FileNotFoundError:
            return {}
        pairs = (line.split(" ", 1) for line in lines if line and line[0] not in "#^")
        return {name: id_ for id_, name in pairs}

    # --- objects

    async def commit(self, revision: str) -> Commit:
        """The commit that `revision` names. Raises GitFailed."""
        form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B"
        out = await git(self.path, "log", "-1", f"--format={form}", "--end-of-options", revision, "--")
        part = out.decode("utf-8", "replace").split("\0")
        return Commit(
            part[0],
            part[1],
            tuple(part[2].split()),
            part[3],
            part[4],
            int(part[5]),
            part[6],
            part[7],
            int(part[8]),
            part[9].rstrip("\n"),
        )

    async def between(self, old: str, new: str, most: int = 20) -> list[Commit]:
        """The commits that `new` has and `old` has not, oldest first, at most `most` of the latest."""
        revisions = [new] if old == ZERO else [f"{old}..{new}"]
        listed = await git(self.path, "rev-list", f"--max-count={most}", "--end-of-options", *revisions, "--")
        return [await self.commit(id_) for id_ in reversed(listed.decode().split())]

    async def files(self, commit: str, path: str = "") -> dict[str, str]:
        """Paths of the files of a commit with their blob ids; those below `path`, if given. Raises GitFailed."""
        out = await git(self.path, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
        found = {}
        for row in out.decode("utf-8", "surrogateescape").split("\0"):
            if row:
                about, name = row.split("\t", 1)
                if not path or name == path or name.startswith(path.rstrip("/") + "/"):
                    found[name] = about.split(" ")[2]
        return found

    async def read(self, commit: str, path: str) -> bytes:
        """The content of one file. Raises GitFailed."""
        return await git(self.path, "cat-file", "blob", f"{commit}:{path}")

    async def export(self, commit: str, folder: Path) -> None:
        """Writes the files of a commit below `folder`, as a checkout does. Raises GitFailed."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="index-") as scratch:
            variables = {"GIT_INDEX_FILE": str(Path(scratch, "index")), "GIT_WORK_TREE": str(folder)}
            await git(self.path, "read-tree", "--end-of-options", commit, variables=variables)
            await git(self.path, "checkout-index", "--all", "--force", f"--prefix={folder}/", variables=variables)
