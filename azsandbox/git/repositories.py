"""The repositories of the Git host: bare ones on disk, and what is known of each in the store."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from azsandbox.clock import Clock
from azsandbox.git.program import git
from azsandbox.git.protection import Protection
from azsandbox.git.repository import HEADS, Repository
from azsandbox.store import Bucket

COLLECTION = "repositories"
DEFAULT_BRANCH = "main"
FIRST_ID = 1_000_000_000
MAX_PACK = 512 * 1024 * 1024  # bytes of one push; git itself refuses more

# A path segment of its own: no separator, no leading dot or dash, nothing that ends as git's own files do.
NAME = re.compile(r"(?!.*\.\.)(?!.*\.(?:git|lock|wiki)$)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?<!\.)")
# What `git check-ref-format --branch` takes, but plainer: no shell or refspec signs at all.
BRANCH = re.compile(r"(?!.*(?:\.\.|//|/\.|\.lock(?:/|$)))[A-Za-z0-9_][A-Za-z0-9._/+#@-]{0,199}(?<![./])")

# Set in each repository. Packs are not made in the background, for nothing is to run when no request does.
_CONFIGURATION = {
    "http.receivepack": "true",
    "http.getanyfile": "false",
    "gc.auto": "0",
    "receive.autogc": "false",
    "receive.fsckObjects": "true",
    "receive.maxInputSize": str(MAX_PACK),
    "uploadpack.allowFilter": "true",
    "uploadpack.allowTipSHA1InWant": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
    "core.logAllRefUpdates": "true",
}


class GitError(Exception):
    """The Git host refuses; the message says what is wrong. `field` is what of a request is wrong, if one thing is."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field


@dataclass
class Settings:
    """What is kept of a repository besides what git keeps. Times are RFC 3339; `options` are those of GitHub's
    settings that say what a repository offers, which nothing in the sandbox depends on."""

    owner: str
    name: str
    id: int
    default_branch: str = DEFAULT_BRANCH
    private: bool = False  # reading needs a sign-in
    archived: bool = False  # nobody pushes
    description: str | None = None
    homepage: str | None = None
    created: str = ""
    updated: str = ""
    pushed: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    protections: dict[str, dict[str, Any]] = field(default_factory=dict)  # by branch

    @property
    def full_name(self) -> str:
        """Owner and name, as `contoso/gitops`."""
        return f"{self.owner}/{self.name}"

    @property
    def key(self) -> str:
        """The key in the store; case does not matter."""
        return self.full_name.lower()

    def protection(self, branch: str) -> Protection | None:
        """The rule of a branch, or None."""
        stored = self.protections.get(branch)
        return None if stored is None else Protection.of(stored)


class Repositories:
    """Repositories below `folder`. The store says which there are; a folder without an entry is a leftover."""

    def __init__(self, folder: Path, bucket: Bucket, clock: Clock) -> None:
        self.folder, self._bucket, self._clock = folder, bucket, clock
        self._lock = asyncio.Lock()

    def list(self, owner: str | None = None) -> list[Settings]:
        """All, or those of an owner, by name."""
        prefix = f"{owner.lower()}/" if owner else ""
        return [Settings(**orjson.loads(record.value)) for record in self._bucket.list(COLLECTION, prefix)]

    def settings(self, owner: str, name: str) -> Settings | None:
        """What is kept of a repository; case does not matter. None if there is none."""
        record = self._bucket.get(COLLECTION, f"{owner}/{name}".lower())
        return Settings(**orjson.loads(record.value)) if record else None

    def get(self, owner: str, name: str) -> Repository | None:
        """A repository, to be read in this process; None if there is none."""
        found = self.settings(owner, name)
        return self.of(found) if found else None

    def of(self, settings: Settings) -> Repository:
        """The repository that settings belong to."""
        return Repository(settings.owner, settings.name, self.folder / path_below(settings.owner, settings.name))

    async def create(
        self,
        owner: str,
        name: str,
        *,
        default_branch: str = DEFAULT_BRANCH,
        private: bool = False,
        description: str | None = None,
        homepage: str | None = None,
        options: dict[str, Any] | None = None,
        protect: bool = False,
    ) -> Repository:
        """Makes an empty repository; `protect` protects its default branch against force and deletion.

        Raises GitError: for a name that is none, or is taken.
        """
        if not NAME.fullmatch(name):
            raise GitError(
                f"the repository name {name!r} is not allowed: letters, digits, '.', '-' and '_', at most 100, "
                "beginning with none of '.' and '-', not ending in .git",
                "name",
            )
        check_branch(default_branch)
        async with self._lock:
            if self.settings(owner, name):
                raise GitError("name already exists on this account", "name")
            path = self.folder / path_below(owner, name)
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)  # of a creation that was cut short
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await git(path, "init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}")
            with (path / "config").open("a") as file:
                for key, value in _CONFIGURATION.items():
                    section, _, entry = key.partition(".")
                    file.write(f"[{section}]\n\t{entry} = {value}\n")
            now = self.now()
            made = Settings(
                owner, name, next_id(self._bucket, COLLECTION), default_branch, private, False, description, homepage
            )
            made.created = made.updated = made.pushed = now
            made.options = options or {}
            if protect:
                made.protections[default_branch] = Protection().stored()
            self.save(made)
        return self.of(made)

    def save(self, settings: Settings) -> None:
        """Writes the settings of a repository."""
        self._bucket.put(COLLECTION, settings.key, orjson.dumps(asdict(settings)))

    def pushed(self, owner: str, name: str) -> None:
        """Notes the time of a push."""
        if settings := self.settings(owner, name):
            settings.pushed = settings.updated = self.now()
            self.save(settings)

    async def delete(self, settings: Settings) -> None:
        """Deletes a repository with all it holds; nothing happens when it is gone already."""
        async with self._lock:
            if self.settings(settings.owner, settings.name) is None:
                return
            self._bucket.delete(COLLECTION, settings.key)
            await asyncio.to_thread(shutil.rmtree, self.of(settings).path, ignore_errors=True)

    async def set_default_branch(self, settings: Settings, branch: str) -> None:
        """Has HEAD name another branch. Raises GitError."""
        check_branch(branch)
        await git(self.of(settings).path, "symbolic-ref", "HEAD", HEADS + branch)
        if now := self.settings(settings.owner, settings.name):  # it may have been pushed to meanwhile
            now.default_branch = branch
            self.save(now)

    def now(self) -> str:
        """The time, as GitHub writes it."""
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def next_id(bucket: Bucket, kind: str) -> int:
    """A number that nothing of this kind had before."""
    record = bucket.get("counters", kind)
    number = int(record.value) + 1 if record else FIRST_ID
    bucket.put("counters", kind, str(number).encode())
    return number


def path_below(owner: str, name: str) -> str:
    """The folder of a repository below that of all."""
    return f"{owner}/{name}.git".lower()


def check_branch(name: str) -> None:
    """Raises GitError for what is no branch name."""
    if not BRANCH.fullmatch(name):
        raise GitError(f"{name!r} is not a branch name", "default_branch")
