"""A sandbox in a process of its own, for tests that need real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Sandbox:
    """Runs the command line on one home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(
        self, *arguments: str, check: bool = True, timeout: float = 60, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs `azsandbox ARGUMENTS…` to its end."""
        command = [sys.executable, "-m", "azsandbox", "--home", str(self.home), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
        if check and done.returncode:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def env(self, *arguments: str) -> dict[str, Any]:
        """What `azsandbox env --json` prints."""
        return json.loads(self.run("env", "--json", *arguments).stdout)

    def token(self, *arguments: str) -> str:
        """What `azsandbox token` prints."""
        return self.run("token", *arguments).stdout.strip()

    def python(self, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs Python code under `azsandbox exec`."""
        return self.run("exec", *arguments, "--", sys.executable, "-c", code, check=False, env=os.environ | environment)


@contextlib.contextmanager
def running(home: Path, *flags: str) -> Iterator[Sandbox]:
    """A sandbox that is up inside the block."""
    sandbox = Sandbox(home)
    sandbox.run("up", *flags)
    try:
        yield sandbox
    finally:
        sandbox.run("down", check=False)
