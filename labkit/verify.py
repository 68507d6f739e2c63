"""`labkit verify`: every lesson run headless, more than once on the same lab, with the exercises filled in.

One process runs all of them with nbclient, which ends each kernel at once: asked to end by itself, a kernel takes
three seconds about every sixth time. Lessons build on each other, so they run one after the other, and the first that
fails is the last, unless the rest is asked for; the kernel of the next run starts while a run goes on
(labkit/kernels.py). Some can run in a second lab meanwhile (labkit/beside.py), and
what they need can be made before (labkit/needs.py). docs/notebook-format.md says how a lesson
marks its exercises and cells that are to fail.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError, LessonError
from labkit.settings import FILE_NAME

if TYPE_CHECKING:
    from labkit.needs import Needs

NO_LESSONS = 3
CELL_SECONDS = 300
"""How long one cell may run."""
SOLUTIONS = "solutions"
METADATA = "labkit"


@dataclass(frozen=True)
class Outcome:
    """How one run of one lesson ended."""

    lesson: str
    number: int
    seconds: float
    problem: str = ""
    cells: int = 0

    def line(self) -> str:
        """One line: the lesson, which run, how long, and what went wrong."""
        word = "failed" if self.problem else "passed"
        tail = f": {self.problem}" if self.problem else f", {self.cells} cells"
        return f"{self.lesson:<24} run {self.number}  {word}  {self.seconds:5.1f} s{tail}"


def run(
    folder: Path,
    lessons: Sequence[str] = (),
    *,
    times: int = 2,
    home: Path | None = None,
    save: Path | None = None,
    keep_going: bool = False,
    make: bool = False,
    beside: Sequence[str] = (),
) -> int:
    """Run the lessons in `folder`, each `times` times in a row, and print a line for each run.

    `lessons` are the numbers or the beginnings of names; without any, all of them. `save` is a folder that the
    notebooks are kept in as they ran, solutions and outputs included. After a run that failed no other is begun, unless
    `keep_going`. With `make`, what a lesson needs of lessons that are not run is made before it. Those of the lessons
    that are named by `beside` run in a second lab meanwhile, and what either lab lacks is made. Returns 0 if all ran to
    their end, 1 if one did not, 3 if there is no lesson. Raises TargetError for a target that cannot be there twice.
    """
    notebooks = list(find(folder, lessons))
    if not notebooks:
        print(f"no lessons in {folder}{f' for {chr(32).join(lessons)}' if lessons else ''}", file=sys.stderr)
        return NO_LESSONS
    started, home = time.monotonic(), home or folder.parent
    apart = list(find(folder, beside)) if beside else []
    apart = [path for path in notebooks if path in apart]
    own = [path for path in notebooks if path not in apart]
    if not apart or not own:
        passed, runs = _series(notebooks, times, home, save, keep_going, make)
        return _told(passed, runs, started)
    from labkit.beside import Beside

    options = ["--times", str(times), *(["--save", str(save.resolve())] if save else [])]
    options += ["--keep-going"] if keep_going else []
    with Beside(home / FILE_NAME, folder, [path.stem for path in apart], options) as other:
        passed, runs = _series(own, times, home, save, keep_going, make=True)
        other.wait()
    return _told(passed + other.passed, runs + len(apart) * times, started)


def _told(passed: int, runs: int, started: float) -> int:
    print(f"{passed} of {runs} runs passed in {time.monotonic() - started:.1f} s", flush=True)
    return 0 if passed == runs else 1


def _series(
    notebooks: Sequence[Path], times: int, home: Path, save: Path | None, keep_going: bool, make: bool
) -> tuple[int, int]:
    """Run the notebooks one after the other; how many runs passed, and of how many."""
    from labkit.kernels import Kernels
    from labkit.needs import Needs

    runs = [(path, number) for path in notebooks for number in range(1, times + 1)]
    needs = Needs(home) if make else None
    passed = ended = 0
    with Kernels(notebooks[0].parent, home, notebooks) as kernels:
        kernel = kernels.start(runs[0][0])
        for path, number in runs:
            following = kernels.start(runs[ended + 1][0]) if ended + 1 < len(runs) else None
            outcome = _made(path, number, needs) or run_once(path, number, kernel, save)
            kernels.end(kernel)
            kernel = following
            print(outcome.line(), flush=True)
            ended += 1
            passed += not outcome.problem
            if outcome.problem and not keep_going:
                break
    if ended < len(runs):
        print(f"Stopped there: lessons build on each other. {len(runs) - ended} of {len(runs)} runs were not begun.")
        print(
            f"Next: mend {path.stem}, then: labkit verify {path.stem[:2]}; or all the same: labkit verify --keep-going"
        )
    return passed, len(runs)


def _made(path: Path, number: int, needs: Needs | None) -> Outcome | None:
    """Makes what the lesson needs, if that is asked for; what went wrong with it, or None."""
    started = time.monotonic()
    try:
        if needs is not None:
            needs.make(path)
    except LabError as error:
        return Outcome(path.stem, number, time.monotonic() - started, str(error))
    return None


def find(folder: Path, lessons: Sequence[str] = ()) -> Iterator[Path]:
    """The notebooks of `folder` that begin with two digits, in order; only those of `lessons`, if there are any."""
    for path in sorted(folder.glob("[0-9][0-9]-*.ipynb")):
        if not lessons or any(path.stem.startswith(lesson) for lesson in lessons):
            yield path


def run_once(path: Path, number: int, kernel: Any, save: Path | None = None) -> Outcome:
    """Run one lesson to its end in the kernel; `save` keeps it as NAME-runN.ipynb."""
    _quick_import()
    started = time.monotonic()
    try:
        notebook = filled(path)
    except LessonError as error:
        return Outcome(path.stem, number, time.monotonic() - started, str(error))
    problems: list[str] = []
    # A thread of its own, since nbclient takes the main thread's signals over, and runs on after them.
    running = threading.Thread(target=lambda: problems.append(_problem(notebook, path, kernel)), daemon=True)
    running.start()
    running.join()
    if save is not None:
        _save(notebook, save / f"{path.stem}-run{number}.ipynb")
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    return Outcome(path.stem, number, time.monotonic() - started, problems[0], cells)


def _problem(notebook: Any, path: Path, kernel: Any) -> str:
    """Runs the notebook; returns what went wrong, or ""."""
    try:
        return _executed(notebook, path, kernel)
    except Exception as error:
        # Whatever nbclient and its transport raise when a kernel ends under them: nobody else would hear of it.
        return f"{type(error).__name__}: {error}"


def _executed(notebook: Any, path: Path, kernel: Any) -> str:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=CELL_SECONDS,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        asyncio.run(_to_its_end(client))
    except CellExecutionError as error:
        return _said(error)
    except CellTimeoutError:
        return f"a cell ran longer than {CELL_SECONDS} s: {_running(notebook)}"
    except DeadKernelError:
        return "the kernel died"
    return ""


async def _to_its_end(client: Any) -> None:
    try:
        await client.async_execute()
    finally:
        # nbclient leaves these open if it did not start the kernel; their threads then look for it for ever.
        if client.kc is not None:
            client.kc.stop_channels()


def _running(notebook: Any) -> str:
    """The first line of the cell that was begun and has not ended."""
    timed = [(cell, cell.metadata["execution"]) for cell in notebook.cells if "execution" in cell.metadata]
    last = next((cell for cell, times in reversed(timed) if "shell.execute_reply" not in times), None)
    return repr(str(last.source).strip().splitlines()[0]) if last is not None else "it is not known which"


def _save(notebook: Any, path: Path) -> None:
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def _said(error: Any) -> str:
    """The name and first line of the error in the cell, without colours."""
    name, value = getattr(error, "ename", "error"), getattr(error, "evalue", str(error))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(value)).strip().splitlines()
    return f"{name}: {lines[0] if lines else ''}"


def _quick_import() -> None:
    """Keep jsonschema from compiling a grammar for IRIs on import, which takes two seconds and serves no notebook."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def read(path: Path) -> Any:
    """The notebook at `path`. Raises LessonError for a file that is none."""
    _quick_import()
    import nbformat

    reader: Any = nbformat
    try:
        return reader.read(path, as_version=4)
    except Exception as error:
        # nbformat raises whatever its JSON reader and its schema raise; to a reader it is one thing.
        raise LessonError(f"{path.name} is not a notebook: {error}", "see docs/notebook-format.md") from error


def filled(path: Path) -> Any:
    """The notebook at `path` with the solution of each exercise in the place of its cell.

    Raises LessonError for an exercise without a solution, and for a solution without an exercise.
    """
    notebook = read(path)
    solutions = _solutions(path)
    for cell in notebook.cells:
        exercise = (cell.metadata.get(METADATA) or {}).get("exercise")
        if exercise is None:
            continue
        if exercise not in solutions:
            message = f"{path.name}: the exercise {exercise!r} has no solution in {_solution_file(path).name}."
            raise LessonError(message, "see docs/notebook-format.md")
        cell.source = solutions.pop(exercise)
    if solutions:
        message = f"{path.name} has no exercise {', '.join(map(repr, solutions))}, of which there is a solution."
        raise LessonError(message, "see docs/notebook-format.md")
    return notebook


def _solution_file(path: Path) -> Path:
    return path.parent / SOLUTIONS / f"{path.stem}.toml"


def _solutions(path: Path) -> dict[str, str]:
    file = _solution_file(path)
    if not file.exists():
        return {}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LessonError(f"{file.name} is not TOML: {error}.", "see docs/notebook-format.md") from error
    return {str(name): str(entry["code"]).strip("\n") for name, entry in document.items()}
