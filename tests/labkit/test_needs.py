"""What lessons need of others: read from their cells, and made before them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labkit import needs
from labkit.errors import LabError
from labkit.settings import Settings
from tests.labkit.test_verify import write


def lesson(folder: Path, name: str, *cells: str) -> None:
    write(folder, name, [(source, {}) for source in cells])


def test_the_needs_of_a_lesson_are_read_from_its_cells(tmp_path: Path) -> None:
    lesson(tmp_path, "33-x", "lab = open_lab()\nlab.need('31')", "!labkit up 41")
    lesson(tmp_path, "00-x", "this is no Python")
    assert needs.needed(tmp_path / "33-x.ipynb") == {"31"}
    assert needs.needed(tmp_path / "00-x.ipynb") == set()


def test_what_a_lesson_needs_is_made_once_unless_a_lesson_before_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    program = f"import pathlib, sys; print(sys.argv[-1], file=pathlib.Path({str(made)!r}).open('a'))"
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$@"\n')
    (tmp_path / "python").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name, need in (("12-x", "11"), ("13-x", "12"), ("31-x", "13"), ("41-x", "13"), ("51-x", "22")):
        lesson(tmp_path, name, f"lab.need('{need}')")
    made_first = needs.Needs(tmp_path)
    for name in ("12-x", "13-x", "31-x", "41-x", "51-x", "51-x"):
        made_first.make(tmp_path / f"{name}.ipynb")
    assert made.read_text().split() == ["11", "22"]


def test_what_cannot_be_made_is_said_in_the_words_of_labkit_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_SETTINGS", raising=False)
    settings = Settings()
    settings.target = "context"
    settings.context = "nowhere"
    settings.save(tmp_path / "lab.toml")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    (tmp_path / "config").write_text("contexts: []\n")
    lesson(tmp_path, "31-x", "lab.need('13')")
    with pytest.raises(LabError, match=r"what 31-x needs was not made: .*nowhere") as refused:
        needs.Needs(tmp_path).make(tmp_path / "31-x.ipynb")
    assert refused.value.next_command == "labkit up 13"
