"""Running git: no shell, no configuration but a repository's own, no prompt, no locale."""

from __future__ import annotations

import os
from pathlib import Path

from azsandbox import programs


class GitFailed(Exception):
    """A git command ended with an error; the message is what it said."""


def environment(configuration: dict[str, str] | None = None) -> dict[str, str]:
    """The variables that git runs with; `configuration` holds git settings for this process alone."""
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    # The sandbox's folder may be on a volume that belongs to another user; what is below it is its own.
    settings = {"safe.directory": "*", **(configuration or {})}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables | {"GIT_CONFIG_COUNT": str(len(settings))}


async def git(
    folder: Path, *arguments: str, variables: dict[str, str] | None = None, given: bytes | None = None
) -> bytes:
    """Runs git on the repository at `folder`, with `given` as its input, and returns its output. Raises GitFailed."""
    if any("\0" in text for text in (*arguments, *(variables or {}).values())):
        raise GitFailed(f"git {arguments[0]} takes no text with a NUL character")
    command = ("git", "--git-dir", str(folder), *arguments)
    status, out, problem = await programs.run(*command, given=given, env=environment() | (variables or {}))
    if status:
        message = problem.decode("utf-8", "replace").strip() or out.decode("utf-8", "replace").strip()
        raise GitFailed(message or f"git {arguments[0]} ended with {status}")
    return out
