"""Lessons that run beside the others, in a second lab that is there only for them.

Lessons build on each other, and `labkit verify` runs them one after the other in one lab. A part of the series that
needs only what an early lesson made, as part 3 needs the cluster of lesson 13, can begin in a second lab at once:
`labkit verify --beside 3`. What a lesson needs there is made first (labkit/needs.py).
"""

from __future__ import annotations

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

    def wait(self) -> None:
        """Wait for its end."""
        self._reading.join()
        self._process.wait()

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
