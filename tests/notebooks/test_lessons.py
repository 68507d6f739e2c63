"""The lessons run: each twice in a row on one lab, and show the first time what was recorded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_notebook.diffing import diff_notebooks, diff_to_string

from labkit import verify
from tests.notebooks import recording
from tests.notebooks.lab_home import LESSONS, RECORDED, lab_home

FRESH = 0.75
"""The part of a lesson's cells of code that its recording must have as they are."""
LEAST = 5
"""Cells of a lesson that are compared, at least."""
NAMES = sorted(path.stem for path in LESSONS.glob("[0-9][0-9]-*.ipynb"))
RECORDINGS = sorted(path.stem for path in RECORDED.glob("*.ipynb"))

pytestmark = pytest.mark.timeout(1500)


@dataclass(frozen=True)
class Runs:
    """How all lessons ran, and the folder of the notebooks with their outputs."""

    ended: subprocess.CompletedProcess[str]
    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("lab")
    command = [sys.executable, "-m", "labkit", "verify", "--notebooks", str(LESSONS), "--save", str(folder / "ran")]
    with lab_home(folder) as environment:
        ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=1400)
    yield Runs(ended, folder / "ran")


def test_every_lesson_runs_twice_in_a_row_with_its_exercises_filled_in(runs: Runs) -> None:
    assert runs.ended.returncode == 0, runs.ended.stdout + runs.ended.stderr[-2000:]
    count = 2 * len(NAMES)
    assert f"{count} of {count} runs passed" in runs.ended.stdout


def test_every_lesson_is_recorded() -> None:
    assert RECORDINGS == NAMES


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_of_the_lesson_as_it_is_but_for_a_few_cells(name: str) -> None:
    """Otherwise record anew: python -m tests.notebooks.record"""
    recorded, lesson = recording.read(RECORDED / f"{name}.ipynb"), verify.filled(LESSONS / f"{name}.ipynb")
    assert recording.share(recorded, lesson) >= FRESH


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_lesson_shows_what_was_recorded(runs: Runs, name: str) -> None:
    """Otherwise look at the difference; if it is meant, record anew: python -m tests.notebooks.record"""
    seen = runs.folder / f"{name}-run1.ipynb"
    if not seen.exists():
        pytest.skip("an earlier lesson failed, so this one did not run")
    recorded, ran = recording.compared(recording.read(RECORDED / f"{name}.ipynb"), recording.read(seen))
    assert len(recorded.cells) >= LEAST
    difference = diff_notebooks(recorded, ran)
    assert not difference, diff_to_string(recorded, difference, use_color=False)
