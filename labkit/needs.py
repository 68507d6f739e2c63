"""What lessons need of others: said by their own `lab.need`, and made by `labkit up` where no lesson has made it."""

from __future__ import annotations

import ast
import contextlib
import os
import subprocess
import sys
from pathlib import Path

from labkit.errors import LabError
from labkit.imports import cells
from labkit.kernels import python_path


class Needs:
    """Makes what lessons need that none before them has made, each once, as `labkit up` does."""

    def __init__(self, home: Path) -> None:
        """`home` is the folder of lab.toml."""
        self._home = home
        self._there: set[str] = set()

    def make(self, path: Path) -> None:
        """Make what the lesson at `path` needs. Raises LabError with what `labkit up` said."""
        for lesson in sorted(needed(path) - self._there):
            command = [sys.executable, "-m", "labkit", "--lab", str(self._home), "up", lesson]
            environment = {**os.environ, "PYTHONPATH": python_path(), "LABKIT_HEADLESS": "1"}
            ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if ended.returncode != 0:
                said = (ended.stderr or ended.stdout).strip().splitlines() or [f"exit code {ended.returncode}"]
                raise LabError(f"what {path.stem} needs was not made: {said[-1]}", f"labkit up {lesson}")
            self._there.add(lesson)
        self._there.add(path.stem[:2])


def needed(path: Path) -> set[str]:
    """The lessons that the notebook at `path` needs, by its own `lab.need("NN")`."""
    found = set()
    for source in cells(path):
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse(source)):
                match node:
                    case ast.Call(func=ast.Attribute(attr="need"), args=[ast.Constant(value=str(lesson))]):
                        found.add(lesson)
    return found
