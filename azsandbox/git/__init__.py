"""Git repositories of the sandbox: bare ones on disk, read in this process or served by git's own HTTP program.

`Repositories.get(name)` gives a `Repository` with `references()`, `resolve(branch)` and `export(commit, folder)`.
"""

from __future__ import annotations

from azsandbox.git.push import Change, Push
from azsandbox.git.repositories import GitError, Repositories
from azsandbox.git.repository import Repository

__all__ = ["Change", "GitError", "Push", "Repositories", "Repository"]
