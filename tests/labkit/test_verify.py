"""The runner of lessons: solutions filled in, each run in a kernel of its own, a line for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit import verify
from labkit.errors import LessonError


def write(folder: Path, name: str, cells: list[tuple[str, dict[str, Any]]]) -> Path:
    verify._quick_import()
    import nbformat

    notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(source, metadata=metadata) for source, metadata in cells]  # type: ignore[no-untyped-call]
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return path


def solve(folder: Path, name: str, text: str) -> None:
    (folder / "solutions").mkdir(exist_ok=True)
    (folder / "solutions" / f"{name}.toml").write_text(text)


EXERCISE = {"labkit": {"exercise": "taint"}}


def test_the_solution_takes_the_place_of_the_exercise(tmp_path: Path) -> None:
    path = write(tmp_path, "12-x", [("a = 1", {}), ("taint = ...", EXERCISE)])
    solve(tmp_path, "12-x", '[taint]\ncode = """\ntaint = "yes"\n"""\n')
    assert [cell.source for cell in verify.filled(path).cells] == ["a = 1", 'taint = "yes"']


def test_an_exercise_without_a_solution_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "12-x", [("taint = ...", EXERCISE)])
    with pytest.raises(LessonError, match=r"the exercise 'taint' has no solution in 12-x\.toml"):
        verify.filled(path)


def test_a_solution_without_an_exercise_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "12-x", [("a = 1", {})])
    solve(tmp_path, "12-x", '[taint]\ncode = ""\n')
    with pytest.raises(LessonError, match="has no exercise 'taint'"):
        verify.filled(path)


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "12-x.ipynb"
    path.write_text("{")
    with pytest.raises(LessonError, match=r"12-x\.ipynb is not a notebook"):
        verify.read(path)


def test_lessons_are_found_in_order_and_by_their_beginnings(tmp_path: Path) -> None:
    for name in ("13-b", "00-a", "notes", "1-c"):
        (tmp_path / f"{name}.ipynb").write_text("")
    assert [path.stem for path in verify.find(tmp_path)] == ["00-a", "13-b"]
    assert [path.stem for path in verify.find(tmp_path, ["13"])] == ["13-b"]


def test_lessons_run_twice_and_a_failure_is_a_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path,
        "00-good",
        [
            ("import os; assert os.environ['LABKIT_HEADLESS'] == '1'; import labkit", {}),
            ("1 / 0", {"tags": ["raises-exception"]}),
        ],
    )
    write(tmp_path, "11-bad", [("raise ValueError('first line\\nsecond')", {})])
    assert verify.run(tmp_path, times=2, keep_going=True) == 1
    good, again, bad, worse, total = capsys.readouterr().out.splitlines()
    assert "00-good" in good
    assert "run 1  passed" in good
    assert "2 cells" in good
    assert "run 2  passed" in again
    assert bad.endswith("ValueError: first line")
    assert "run 2  failed" in worse
    assert total.startswith("2 of 4 runs passed")


def test_what_ran_is_kept_with_solutions_and_outputs_for_who_asks(tmp_path: Path) -> None:
    write(tmp_path, "00-good", [("print('seen')", {}), ("taint = ...", EXERCISE)])
    solve(tmp_path, "00-good", '[taint]\ncode = """\nprint("solved")\n"""\n')
    write(tmp_path, "11-bad", [("1 / 0", {})])
    verify.run(tmp_path, times=1, save=tmp_path / "kept")
    good, bad = (verify.read(tmp_path / "kept" / f"{name}-run1.ipynb") for name in ("00-good", "11-bad"))
    assert [cell.outputs[0].text for cell in good.cells] == ["seen\n", "solved\n"]
    assert bad.cells[0].outputs[0].ename == "ZeroDivisionError"
    assert not verify.read(tmp_path / "00-good.ipynb").cells[0].outputs


def test_the_folder_of_the_lessons_may_be_named_from_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels are forked from a process that works elsewhere: they died of a folder that was not there."""
    (tmp_path / "lessons").mkdir()
    write(tmp_path / "lessons", "00-here", [("import pathlib; assert pathlib.Path.cwd().name == 'lessons'", {})])
    monkeypatch.chdir(tmp_path)
    assert verify.run(Path("lessons"), times=1) == 0


def test_no_lessons_are_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.run(tmp_path) == verify.NO_LESSONS
    assert "no lessons" in capsys.readouterr().err


def test_the_first_lesson_that_fails_is_the_last_unless_the_rest_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each lesson after it waited for what was not there, five minutes a cell."""
    write(tmp_path, "11-bad", [("raise ValueError('why')", {})])
    write(tmp_path, "12-never", [("1", {})])
    assert verify.run(tmp_path, times=2) == 1
    bad, stopped, following, total = capsys.readouterr().out.splitlines()
    assert bad.endswith("ValueError: why")
    assert stopped == "Stopped there: lessons build on each other. 3 of 4 runs were not begun."
    assert "labkit verify 11;" in following and "labkit verify --keep-going" in following
    assert total.startswith("0 of 4 runs passed")


def test_a_cell_that_does_not_end_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "CELL_SECONDS", 1)
    write(tmp_path, "11-slow", [("import time\ntime.sleep(60)", {}), ("1", {})])
    assert verify.run(tmp_path, times=1) == 1
    assert "a cell ran longer than 1 s: 'import time'" in capsys.readouterr().out


def test_a_run_that_has_ended_leaves_no_connection_to_its_kernel(tmp_path: Path) -> None:
    """Threads of the transport went on looking for every kernel that had been, which cost more with each lesson."""
    write(tmp_path, "11-good", [("1", {})])
    write(tmp_path, "12-bad", [("1 / 0", {})])
    before = _threads()
    assert verify.run(tmp_path, times=2, keep_going=True) == 1
    assert _threads() <= before


def _threads() -> int:
    """All of this process, those of libraries included."""
    count: int = psutil.Process().num_threads()
    return count
