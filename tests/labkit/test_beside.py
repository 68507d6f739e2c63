"""Lessons in a second lab beside the others: what runs where, and what is left afterwards."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil
import pytest

from labkit import beside, verify
from labkit.errors import TargetError
from labkit.settings import Settings
from tests.labkit.test_verify import write

WHERE = "import os, pathlib; pathlib.Path(os.environ['SEEN'], {name!r}).write_text(os.environ['LABKIT_SETTINGS'])"


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that lessons write into which lab.toml they have; second labs are made below `labs` beside it."""
    folder = tmp_path / "seen"
    folder.mkdir()
    (tmp_path / "labs").mkdir()
    monkeypatch.setenv("SEEN", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "labs"))
    for name in ("LABKIT_SETTINGS", "AZSANDBOX_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


def lesson(folder: Path, name: str, *cells: str) -> None:
    write(folder, name, [(source, {}) for source in (WHERE.format(name=name[:2]), *cells)])


def test_the_lessons_that_are_named_run_in_a_lab_of_their_own_which_is_gone_afterwards(
    tmp_path: Path, seen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson(tmp_path, "11-own")
    lesson(tmp_path, "31-apart")
    lesson(tmp_path, "32-apart")
    assert verify.run(tmp_path, home=tmp_path, times=1, beside=["3"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines) == ["11-own", "31-apart", "32-apart"]
    assert total.startswith("3 of 3 runs passed in ")
    assert (seen / "11").read_text() == str(tmp_path / "lab.toml")
    other = Path((seen / "31").read_text())
    assert other.name == "lab.toml"
    assert other.parent.parent == tmp_path / "labs"
    assert (seen / "32").read_text() == str(other)
    assert not other.parent.exists()


def test_a_lesson_that_fails_beside_the_others_is_a_line_and_counts(
    tmp_path: Path, seen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson(tmp_path, "11-own")
    lesson(tmp_path, "31-apart", "raise ValueError('why')")
    assert verify.run(tmp_path, home=tmp_path, times=2, beside=["31"]) == 1
    said = capsys.readouterr().out
    assert "ValueError: why" in said
    assert "1 of 2 runs were not begun" in said
    assert said.splitlines()[-1].startswith("2 of 4 runs passed in ")


def test_lessons_none_of_which_is_left_run_in_the_lab_itself(tmp_path: Path, seen: Path) -> None:
    lesson(tmp_path, "31-apart")
    assert verify.run(tmp_path, ["31"], home=tmp_path, times=1, beside=["3"]) == 0
    assert (seen / "31").read_text() == str(tmp_path / "lab.toml")


def test_what_cannot_be_there_twice_is_refused_before_anything_runs(tmp_path: Path, seen: Path) -> None:
    settings = Settings()
    settings.target = "aks"
    settings.save(tmp_path / "lab.toml")
    lesson(tmp_path, "11-own")
    lesson(tmp_path, "31-apart")
    with pytest.raises(TargetError, match="only a sandbox can be there twice; the lab's target is aks"):
        verify.run(tmp_path, home=tmp_path, times=1, beside=["3"])
    assert not list(seen.iterdir())


def test_the_second_lab_has_the_settings_of_the_first(tmp_path: Path, seen: Path) -> None:
    settings = Settings()
    settings.region = "northeurope"
    settings.save(tmp_path / "lab.toml")
    lesson(tmp_path, "11-own")
    copy = (
        "pathlib.Path(os.environ['SEEN'], 'copy').write_text(pathlib.Path(os.environ['LABKIT_SETTINGS']).read_text())"
    )
    lesson(tmp_path, "31-apart", copy)
    assert verify.run(tmp_path, home=tmp_path, times=1, beside=["3"]) == 0
    assert 'region = "northeurope"' in (seen / "copy").read_text()


def test_lessons_that_still_run_beside_end_with_the_run(tmp_path: Path, seen: Path) -> None:
    lesson(tmp_path, "31-slow", "import time; time.sleep(600)")
    with beside.Beside(tmp_path / "lab.toml", tmp_path, ["31-slow"], ["--times", "1"]) as other:
        deadline = time.monotonic() + 60
        while not (seen / "31").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        kernels = psutil.Process(other._process.pid).children(recursive=True)
        assert kernels
    assert other._process.returncode == 128 + 15
    assert not [process for process in kernels if process.is_running()]
    assert not list((tmp_path / "labs").iterdir())
