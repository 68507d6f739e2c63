"""The learner's clone of the repository, worked in with real git."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import CommandFailed, ToolMissing
from labkit.output import Output

AUTHOR = ("learner", "learner@example.com")
"""Who commits where git knows nobody (RFC 2606 keeps example.com free)."""


class Checkout:
    """A clone at `folder` of the repository at `url`; not there before `clone()`."""

    def __init__(self, folder: Path, url: str, branch: str) -> None:
        self.folder, self.url, self.branch = folder, url, branch

    @property
    def exists(self) -> bool:
        """Whether it was cloned."""
        return (self.folder / ".git").exists()

    def clone(self) -> None:
        """Clones the repository, or fetches what is new into the clone that is there. Raises CommandFailed."""
        if self.exists:
            self.git(["fetch", "--quiet", "origin"])
            if self._says("rev-parse", "--verify", "--quiet", f"origin/{self.branch}"):
                self.git(["merge", "--quiet", "--ff-only", f"origin/{self.branch}"], check=False)
            print(f"The clone in {self.folder.name}/ is up to date.")
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._run(["clone", "--quiet", self.url, str(self.folder)], self.folder.parent, check=True, show=True)
        if not self._says("rev-parse", "--verify", "--quiet", "HEAD"):
            self._run(["symbolic-ref", "HEAD", f"refs/heads/{self.branch}"], self.folder, check=True, show=False)
        print(f"Cloned into {self.folder.name}/.")

    def git(self, command: str | Sequence[str], *, check: bool = True) -> Output:
        """Runs git in the clone, prints what it says, and returns it.

        `command` is split as a shell would, but no shell runs it. An exit code other than 0 raises CommandFailed,
        unless `check` is False.
        """
        words = shlex.split(command) if isinstance(command, str) else list(command)
        return self._run(words, self.folder, check=check, show=True, authored=True)

    def head(self) -> str:
        """The commit that the clone stands at; empty before the first."""
        return self._says("rev-parse", "HEAD")

    def write(self, path: str, text: str) -> None:
        """Writes a file of the clone. Raises ValueError for a path that leads out of it."""
        target = (self.folder / path).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            message = f"{path!r} leads out of the repository"
            raise ValueError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.lstrip("\n"), encoding="utf-8")

    def commit(self, message: str) -> str:
        """Adds all changes, commits and pushes them; returns the commit. Without changes it returns the last one.

        Says in a line what was pushed.
        """
        self._run(["add", "--all"], self.folder, check=True, show=False)
        changed = bool(self._says("status", "--porcelain"))
        if changed:
            self._run(["commit", "--quiet", "--message", message], self.folder, check=True, show=False, authored=True)
        self._run(["push", "--quiet", "--set-upstream", "origin", self.branch], self.folder, check=True, show=True)
        commit = self.head()
        print(f"Pushed {commit[:8]}: {message}" if changed else f"Nothing to commit; {self.branch} is at {commit[:8]}.")
        return commit

    def _says(self, *words: str) -> str:
        if not self.exists:
            return ""
        ended = self._run(list(words), self.folder, check=False, show=False)
        return ended.stdout.strip() if ended.ok else ""

    def _run(self, words: list[str], folder: Path, *, check: bool, show: bool, authored: bool = False) -> Output:
        """Runs git in `folder`; `authored` where it may make a commit, and so needs to know who does."""
        program = shutil.which("git")
        if program is None:
            raise ToolMissing("git is not on the PATH.", "see https://git-scm.com/downloads for how to install it")
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # no questions asked
        if authored:
            environment = {**_author(program, folder), **environment}
        ended = subprocess.run(
            [program, *words], cwd=folder, capture_output=True, text=True, env=environment, check=False
        )
        shown = shlex.join(["git", *words])
        if ended.returncode != 0 and check:
            raise CommandFailed(shown, ended.returncode, ended.stdout, ended.stderr)
        for said in (ended.stdout, ended.stderr):
            if show and said:
                print(said, end="" if said.endswith("\n") else "\n")
        return Output(shown, ended.returncode, ended.stdout, ended.stderr)


def _author(program: str, folder: Path) -> dict[str, str]:
    """The variables that say who commits, where git knows nobody for a commit in `folder`."""
    asked = [program, "config", "--name-only", "--get-regexp", r"^user\.(name|email)$"]
    known = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False).stdout.split()
    return {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in zip(("NAME", "EMAIL"), AUTHOR, strict=True)
        if f"user.{part.lower()}" not in known
    }
