"""The lessons follow their form: docs/notebook-format.md and what a lesson looks like."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from labkit import verify

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
BEATS = ("**Why.**", "**Predict.**", "**Do.**", "**Look.**", "**Check.**")
ENDS = ("## Exercise", "## Break and repair", "## What has changed since 2021", "## Summary", "## Where to read on")
LINES = 14
"""Lines that a cell may have: about a dozen."""

lesson = pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in found]


def text_of(path: Path) -> str:
    return "\n\n".join(cell["source"] for cell in cells(path) if cell["cell_type"] == "markdown")


def code_of(path: Path) -> list[str]:
    return [cell["source"] for cell in cells(path) if cell["cell_type"] == "code"]


def test_part_one_has_its_five_lessons() -> None:
    names = {path.stem for path in LESSONS}
    assert {"00-start-here", "11-network-and-logs", "12-cluster", "13-node-pools", "52-clean-up"} <= names


def test_part_three_has_its_four_lessons() -> None:
    names = {path.stem for path in LESSONS}
    assert {"31-flux", "32-infrastructure", "33-applications", "34-day-two"} <= names


@lesson
def test_the_file_is_of_the_format_and_holds_no_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@lesson
def test_there_is_one_heading_of_the_first_rank_and_it_comes_first(path: Path) -> None:
    text = re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL)
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1
    first = cells(path)[0]["source"]
    assert first.startswith("# ")
    for word in ("What you will have", "How long", "What it costs on Azure"):
        assert word in first


@lesson
def test_no_price_is_stated(path: Path) -> None:
    assert not re.search(r"[$€£]\s?\d|\d\s?(?:USD|EUR|dollars?|euros?)\b", text_of(path))


@lesson
def test_each_step_has_its_five_beats_in_order_and_does_looks_and_checks_in_cells(path: Path) -> None:
    steps: list[list[dict[str, Any]]] = []
    inside = False
    for cell in cells(path):
        if cell["cell_type"] == "markdown" and cell["source"].startswith("## "):
            inside = cell["source"].startswith("## Step ")
            if inside:
                steps.append([])
        if inside:
            steps[-1].append(cell)
    assert len(steps) >= 3
    for step in steps:
        text = "\n".join(cell["source"] for cell in step if cell["cell_type"] == "markdown")
        title = text.splitlines()[0]
        places = [text.find(beat) for beat in BEATS]
        assert -1 not in places, (title, dict(zip(BEATS, places, strict=True)))
        assert places == sorted(places), title
        assert [text.count(beat) for beat in BEATS] == [1] * 5, title
        assert sum(cell["cell_type"] == "code" for cell in step) >= 3, title
        assert "lab.check" in step[-1]["source"] or any("lab.check" in cell["source"] for cell in step), title


@lesson
def test_the_end_is_an_exercise_a_fault_what_changed_a_summary_and_reading(path: Path) -> None:
    text = text_of(path)
    places = [text.find(f"\n{title}") if not text.startswith(title) else 0 for title in ENDS]
    assert -1 not in places, dict(zip(ENDS, places, strict=True))
    assert places == sorted(places)


@lesson
def test_cells_are_short_and_parse(path: Path) -> None:
    for source in code_of(path):
        assert len(source.splitlines()) <= LINES, source
        ast.parse(re.sub(r"^!.*$", "pass", source, flags=re.MULTILINE))


@lesson
def test_no_cell_knows_where_it_runs(path: Path) -> None:
    for source in code_of(path):
        assert not re.search(r"sandbox|lab\.target|lab\.place|lab\.costs|settings\.target", source, re.IGNORECASE), (
            source
        )


@lesson
def test_the_first_cell_opens_the_lab_and_says_what_it_needs(path: Path) -> None:
    first = code_of(path)[0]
    assert "Lab.open()" in first
    if path.stem[:2] not in ("00", "11", "52"):
        assert re.search(r"^lab\.need\(", first, flags=re.MULTILINE)


@lesson
def test_pictures_say_in_words_what_they_show(path: Path) -> None:
    for diagram in re.findall(r"```mermaid\n(.*?)```", text_of(path), flags=re.DOTALL):
        assert "accTitle:" in diagram
        assert "accDescr:" in diagram
    assert not re.search(r"!\[\]\(", text_of(path))
    assert not re.search(r"<img(?![^>]*\balt=)", text_of(path))


@lesson
def test_every_exercise_has_a_blank_and_a_solution(path: Path) -> None:
    found = [cell for cell in cells(path) if (cell["metadata"].get("labkit") or {}).get("exercise")]
    assert found
    assert all(re.search(r"= \.\.\.", cell["source"]) for cell in found)
    verify.filled(path)  # raises for an exercise without a solution, and for the reverse


@lesson
def test_the_command_line_is_folded_beside_the_code(path: Path) -> None:
    text = text_of(path)
    assert text.count("<details>") == text.count("</details>") >= 2
    assert re.search(r"<details><summary>.*</summary>\n\n```bash\n", text)


@lesson
def test_links_between_lessons_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https://)([^)#]+)\)", text_of(path)):
        assert (FOLDER / target).exists(), target


@lesson
def test_live_views_are_stopped(path: Path) -> None:
    code = "\n".join(code_of(path))
    for name in re.findall(r"^(\w+) = lab\.watch\w*\(", code, flags=re.MULTILINE):
        assert f"{name}.stop()" in code, name
