"""Lessons that run beside the others, in a second lab that is there only for them.

Lessons build on each other, and `labkit verify` runs them one after the other in one lab. A part of the series that
needs only what an early lesson made, as part 3 needs the cluster of lesson 13, can begin in a second lab at once:
`labkit verify --beside 3`. What a lesson needs there, `labkit up` makes first.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from labkit.errors import LabError
from labkit.imports import cells
from labkit.kernels import python_path
from labkit.targets import second

ENDED = re.compile(r"(\d+) of (\d+) runs passed in ")
"""How the last line of `labkit verify` begins."""
LEAVING_SECONDS = 30.0
"""How long lessons that are told to end may take for it."""


class Beside:
    """A `labkit verify` of some lessons in a second lab. Used with `with`: the lab ends with it, and what still runs.

    Its lines are printed as they come. `passed` and `runs` are counted when it has been waited for.
    """

    def __init__(self, settings: Path, folder: Path, lessons: Sequence[str], options: Sequence[str]) -> None:
        """`settings` is the lab.toml that the second lab gets a copy of, `folder` that of the notebooks; `lessons` are
        names, and `options` go to `labkit verify`."""
        self._settings, self._folder, self._lessons, self._options = settings, folder, lessons, options
        self._leaving = contextlib.ExitStack()
        self.passed, self.runs = 0, 0

    def __enter__(self) -> Beside:
        with contextlib.ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-beside-")))
            variables = stack.enter_context(second(self._settings, home))
            arguments = ["verify", *self._lessons, "--make", "--notebooks", str(self._folder.resolve()), *self._options]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "labkit", *arguments],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **variables, "PYTHONPATH": python_path()},
            )
            stack.callback(self._end)
            self._leaving = stack.pop_all()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def wait(self) -> bool:
        """Wait for its end; whether all its runs passed."""
        self._reading.join()
        return self._process.wait() == 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            ended = ENDED.match(line)
            if ended:
                self.passed, self.runs = int(ended[1]), int(ended[2])
            else:
                print(line, end="", flush=True)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(LEAVING_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


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
