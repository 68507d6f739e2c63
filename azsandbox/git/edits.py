"""Changes to a repository that are made without a push: files, branches and tags, each in one step or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from azsandbox.git.commit import ZERO, Person
from azsandbox.git.program import GitFailed, git
from azsandbox.git.repository import Repository


class Moved(Exception):
    """A reference is not where it was thought to be."""


async def write_blob(repository: Repository, content: bytes) -> str:
    """Stores a file's content and gives its id."""
    return (await git(repository.path, "hash-object", "-w", "--stdin", given=content)).decode().strip()


async def commit_file(
    repository: Repository,
    parent: str | None,
    path: str,
    blob: str | None,
    *,
    message: str,
    author: Person,
    committer: Person,
    mode: str = "100644",
) -> str:
    """A commit on top of `parent` in which `path` holds `blob` (None: is gone); its id. No branch moves.

    Raises GitFailed, for a path that git refuses too.
    """
    with tempfile.TemporaryDirectory(prefix="index-") as scratch:
        variables = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        if parent is not None:
            await git(repository.path, "read-tree", parent, variables=variables)
        if blob is not None:
            entry = f"{mode},{blob},{path}"
            await git(repository.path, "update-index", "--add", "--cacheinfo", entry, variables=variables)
        else:  # mode 0 takes a path out
            given = f"0 {ZERO}\t{path}\0".encode("utf-8", "surrogateescape")
            await git(repository.path, "update-index", "-z", "--index-info", variables=variables, given=given)
        tree = (await git(repository.path, "write-tree", variables=variables)).decode().strip()
    names = {
        **_identity("AUTHOR", author),
        **_identity("COMMITTER", committer),
    }
    parents = ["-p", parent] if parent is not None else []
    made = await git(
        repository.path,
        "commit-tree",
        tree,
        *parents,
        variables=names,
        given=message.encode("utf-8", "surrogateescape"),
    )
    return made.decode().strip()


async def move(repository: Repository, reference: str, new: str, old: str) -> None:
    """Moves a reference from `old` to `new`; zeros are for one that is not there, or is to go.

    Raises Moved when it is elsewhere by now, GitFailed for a name that git refuses.
    """
    try:
        line = f"update {reference}\0{new}\0{old}\0".encode("utf-8", "surrogateescape")
        variables = {"GIT_COMMITTER_NAME": "sandbox", "GIT_COMMITTER_EMAIL": "sandbox@localhost"}  # for the reflog
        await git(repository.path, "update-ref", "-z", "--stdin", given=line, variables=variables)
    except GitFailed as error:
        if (repository.resolve(reference) or ZERO) != old:
            raise Moved(reference) from error
        raise


def _identity(role: str, who: Person) -> dict[str, str]:
    sign = "-" if who.offset < 0 else "+"
    hours, minutes = divmod(abs(who.offset), 60)
    return {
        f"GIT_{role}_NAME": who.name,
        f"GIT_{role}_EMAIL": who.email,
        f"GIT_{role}_DATE": f"@{who.seconds} {sign}{hours:02}{minutes:02}",
    }
