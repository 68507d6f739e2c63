"""The machine's kubectl, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int


class Kubectl:
    """Runs kubectl against the cluster of a kubeconfig, in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str, folder: Path) -> None:
        self.kubeconfig, self.namespace, self.folder = kubeconfig, namespace, folder

    def command(self, *arguments: str) -> list[str]:
        scope = [] if {"-A", "-n"} & set(arguments) else ["--namespace", self.namespace]
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), *scope, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECACHEDIR": str(self.kubeconfig.parent / "cache"), "TZ": "UTC"}

    def run(self, *arguments: str, stdin: str | None = None, **environment: str) -> Done:
        """Runs a command to its end, however it ends."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            env={**self.environment, **environment},
        )
        return Done(done.stdout, done.stderr, done.returncode)

    def __call__(self, *arguments: str, stdin: str | None = None, **environment: str) -> str:
        """What a command prints that must succeed."""
        done = self.run(*arguments, stdin=stdin, **environment)
        assert done.code == 0, f"kubectl {' '.join(arguments)} ended with {done.code}: {done.out}{done.err}"
        return done.out

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """The error output of a command that must end with 1."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 1, f"kubectl {' '.join(arguments)} ended with {done.code}: {done.out}{done.err}"
        return done.err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on; the caller ends it, within half a minute."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        watchdog = threading.Timer(30, process.kill)  # a test that reads from it would wait for ever
        watchdog.daemon = True
        watchdog.start()
        return process

    def until(self, *arguments: str, seconds: float = 10) -> str:
        """What a command prints once it succeeds."""
        deadline = time.monotonic() + seconds
        while True:
            done = self.run(*arguments)
            if done.code == 0:
                return done.out
            assert time.monotonic() < deadline, f"kubectl {' '.join(arguments)}: {done.out}{done.err}"
            time.sleep(0.05)


def columns(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]
