"""The lessons run: each twice in a row on one lab, and the first ones as they were recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_notebook.nb_regression import NBRegressionFixture

from tests.notebooks.lab_home import LESSONS, RECORDED, lab_home

# what differs from run to run, by the path of the part that it stands in
TEXT = "/cells/*/outputs/*/text"
PLAIN = "/cells/*/outputs/*/data/text/plain"
VOLATILE = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\S+/lab\.toml", "lab.toml"),
    (r"\S+/\.labkit/", ".labkit/"),
    (r"\d+(\.\d+)? s\b", "SECONDS"),
    (r"(?m)(^.*(Registering|Creating|Adding|Deleting)\b.*\n?)+", "PROGRESS\n"),
]
IGNORED = (
    "/metadata",
    "/cells/*/outputs/*/traceback",
    "/cells/*/execution_count",
    "/cells/*/metadata",
    "/cells/*/outputs/*/data/text/html",
)
RECORDINGS = sorted(path.stem for path in RECORDED.glob("*.ipynb"))


def sources(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


@pytest.mark.timeout(1500)
def test_every_lesson_runs_twice_in_a_row_with_its_exercises_filled_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labkit", "verify", "--notebooks", str(LESSONS)]
    with lab_home(tmp_path) as environment:
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=1400)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    runs = 2 * len(list(LESSONS.glob("[0-9][0-9]-*.ipynb")))
    assert f"{runs} of {runs} runs passed" in done.stdout


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_of_the_lesson_as_it_is(name: str) -> None:
    """Otherwise record it anew: python -m tests.notebooks.record"""
    assert sources(RECORDED / f"{name}.ipynb") == sources(LESSONS / f"{name}.ipynb")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lessons_show_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RECORDINGS
    with lab_home(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        options: dict[str, Any] = {
            "exec_notebook": True,
            "exec_cwd": str(tmp_path),
            "exec_timeout": 200,
            "exec_allow_errors": True,
            "diff_ignore": IGNORED,
            "diff_replace": tuple((path, old, new) for path in (TEXT, PLAIN) for old, new in VOLATILE),
            "diff_use_color": False,
        }
        fixture = NBRegressionFixture(**options)
        for name in RECORDINGS:
            result = fixture.check(str(RECORDED / f"{name}.ipynb"), raise_errors=False)
            assert result.diff_filtered == [], result.diff_string
