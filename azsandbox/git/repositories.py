"""The repositories of a Git host: bare ones on disk, and what is known of each in the store."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from azsandbox.clock import Clock
from azsandbox.git.repository import Repository, git
from azsandbox.store import Bucket

COLLECTION = "repositories"
DEFAULT_BRANCH = "main"

# A path segment of its own: no separator, no leading dot or dash, nothing that ends as git's own files do.
NAME = re.compile(r"(?!.*\.\.)(?!.*\.(?:git|lock)$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.)")
# What `git check-ref-format --branch` takes, but plainer: no shell or refspec signs at all.
BRANCH = re.compile(r"(?!.*(?:\.\.|//|/\.|\.lock(?:/|$)))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}(?<![./])")

# Set in each repository. Packs are not made in the background, for nothing is to run when no request does.
_CONFIGURATION = {
    "http.receivepack": "true",
    "http.getanyfile": "false",
    "gc.auto": "0",
    "receive.autogc": "false",
    "receive.fsckObjects": "false",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
    "core.logAllRefUpdates": "true",
}


class GitError(Exception):
    """The Git host refuses; `status` is that of the HTTP answer, the message says what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Protection:
    """What a protected branch asks for. Force pushes and deletion are refused in any case."""

    branch: str
    require_pull_request: bool = False  # nobody pushes to it; it changes by the merge of another branch


@dataclass
class Settings:
    """What is kept of a repository besides what git keeps."""

    name: str
    default_branch: str = DEFAULT_BRANCH
    private: bool = False  # reading needs a sign-in
    description: str = ""
    owner: str = ""  # object id
    created: str = ""
    pushed: str = ""
    protections: list[dict[str, Any]] = field(default_factory=list)

    def protection(self, branch: str) -> Protection | None:
        """The protection of a branch, or None."""
        return next((Protection(**p) for p in self.protections if p["branch"] == branch), None)


class Repositories:
    """Repositories below `folder`. The store says which there are; a folder without an entry is a leftover."""

    def __init__(self, folder: Path, bucket: Bucket, clock: Clock) -> None:
        self.folder, self._bucket, self._clock = folder, bucket, clock
        self._lock = asyncio.Lock()

    def list(self) -> list[Settings]:
        """All, by name."""
        return [Settings(**orjson.loads(record.value)) for record in self._bucket.list(COLLECTION)]

    def settings(self, name: str) -> Settings | None:
        """What is kept of the repository `name`; case does not matter. None if there is none."""
        record = self._bucket.get(COLLECTION, name.lower())
        return Settings(**orjson.loads(record.value)) if record else None

    def get(self, name: str) -> Repository | None:
        """The repository `name`, to be read in this process; None if there is none."""
        found = self.settings(name)
        return Repository(found.name, self._path(found.name)) if found else None

    async def create(
        self,
        name: str,
        *,
        default_branch: str = DEFAULT_BRANCH,
        private: bool = False,
        description: str = "",
        owner: str = "",
        protect: bool = False,
    ) -> Repository:
        """Makes an empty repository; `protect` protects its default branch. Raises GitError."""
        if not NAME.fullmatch(name):
            raise GitError(
                422,
                f"the repository name {name!r} is not allowed: letters, digits, '.', '-' and '_', at most 100, "
                "beginning with a letter or digit, not ending in .git",
            )
        check_branch(default_branch)
        async with self._lock:
            if self.settings(name):
                raise GitError(422, f"a repository {name!r} exists already")
            path = self._path(name)
            shutil.rmtree(path, ignore_errors=True)  # of a creation or a deletion that was cut short
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await git(path, "init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}")
            with (path / "config").open("a") as file:
                file.writelines(
                    f"[{k.partition('.')[0]}]\n\t{k.partition('.')[2]} = {v}\n" for k, v in _CONFIGURATION.items()
                )
            made = Settings(name, default_branch, private, description, owner, self._now())
            if protect:
                made.protections = [asdict(Protection(default_branch))]
            self.save(made)
        return Repository(name, path)

    def save(self, settings: Settings) -> None:
        """Writes the settings of a repository."""
        self._bucket.put(COLLECTION, settings.name.lower(), orjson.dumps(asdict(settings)))

    def pushed(self, name: str) -> None:
        """Notes the time of a push."""
        if settings := self.settings(name):
            settings.pushed = self._now()
            self.save(settings)

    async def delete(self, name: str) -> None:
        """Deletes a repository with all it holds. Raises GitError."""
        async with self._lock:
            found = self.settings(name)
            if found is None:
                raise not_found(name)
            self._bucket.delete(COLLECTION, found.name.lower())
            await asyncio.to_thread(shutil.rmtree, self._path(found.name), ignore_errors=True)

    async def set_default_branch(self, settings: Settings, branch: str) -> None:
        """Has HEAD name another branch. Raises GitError."""
        check_branch(branch)
        await git(self._path(settings.name), "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        settings.default_branch = branch
        self.save(settings)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.lower()}.git"

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def check_branch(name: str) -> None:
    """Raises GitError for what is no branch name."""
    if not BRANCH.fullmatch(name):
        raise GitError(422, f"{name!r} is not a branch name")


def not_found(name: str) -> GitError:
    """404 of a repository."""
    return GitError(404, f"there is no repository {name!r}. Create it: azsandbox git create {name}")
