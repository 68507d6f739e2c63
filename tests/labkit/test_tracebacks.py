"""Tracebacks of cells: the learner's lines stay, those of libraries go."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.views import names, tracebacks


@pytest.fixture
def shell() -> Iterator[Any]:
    """A shell whose cells are __main__, as in a kernel, and that keeps what it shows."""
    made: Any = InteractiveShell.instance()
    made.run_line_magic("colors", "NoColor")
    made.shown = []
    made._showtraceback = lambda kind, error, lines: made.shown.append("\n".join(lines))
    made.user_ns["__name__"] = "__main__"
    yield made
    InteractiveShell.clear_instance()


def test_an_error_of_a_library_is_shown_by_the_line_of_the_cell(shell: Any) -> None:
    assert tracebacks.shorten()
    shell.run_cell("import json\ndef mine(text):\n    return json.loads(text)\nmine('{')")
    shown = shell.shown[0]
    assert "return json.loads(text)" in shown and "mine('{')" in shown
    assert "JSONDecodeError: Expecting property name" in shown
    assert json.__file__ not in shown and "decoder.py" not in shown
    assert shown.endswith("%tb shows 3 more lines, of libraries.")


def test_the_whole_is_kept_for_who_asks(shell: Any) -> None:
    tracebacks.shorten()
    shell.run_cell("import json\njson.loads('{')")
    trace, files = sys.last_traceback, []
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    assert any(name.endswith("decoder.py") for name in files)


def test_what_an_error_came_from_stays_on_it(shell: Any) -> None:
    tracebacks.shorten()
    shell.run_cell("try:\n    1 / 0\nexcept ZeroDivisionError as first:\n    raise ValueError('second') from first")
    assert "ValueError: second" in shell.shown[0]
    assert isinstance(sys.last_value.__cause__, ZeroDivisionError)


def test_a_mistake_in_a_cell_is_shown_as_ever(shell: Any) -> None:
    tracebacks.shorten()
    shell.run_cell("wrong +")
    assert "SyntaxError" in shell.shown[0]
    shell.run_cell("unknown")
    assert "NameError: name 'unknown' is not defined" in shell.shown[1] and "%tb" not in shell.shown[1]


def test_a_cell_that_is_run_too_early_is_told_which_to_run_first(
    shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracebacks.shorten()
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shell.run_cell("group")
    assert shell.shown[0].endswith(f"Next: {names.ABOVE}")
    sources = ["!kubectl get pods", "def f():\n    group = 1", "import os\n\nname, group = 'a', 'b'", "group"]
    cells = [{"cell_type": "code", "source": source.splitlines(True)} for source in sources]
    file = tmp_path / "11-x.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    monkeypatch.setenv("JPY_SESSION_NAME", str(file))
    for name in ("group", "os", "f", "never"):
        shell.run_cell(name)
    of_group, of_os, of_f, never = shell.shown[1:]
    assert of_group.endswith("Next: 'group' comes from the cell that begins with `import os`: run that one first.")
    assert "comes from the cell that begins with `import os`" in of_os
    assert "comes from the cell that begins with `def f():`" in of_f
    assert "Next" not in never


def test_an_error_of_azure_is_said_once(shell: Any) -> None:
    tracebacks.shorten()
    message = "The client may not\nstop it."
    said = (
        f"(Forbidden) {message}\nCode: Forbidden\nMessage: {message}"  # as azure-core makes it of the service's answer
    )
    shell.user_ns["said"] = said
    shell.run_cell("from azure.core.exceptions import HttpResponseError\nraise HttpResponseError(said)")
    assert shell.shown[0].count("The client may not") == 1, shell.shown[0]
    assert shell.shown[0].endswith(f"HttpResponseError: (Forbidden) {message}")


def test_without_a_notebook_nothing_changes() -> None:
    if InteractiveShell.initialized():
        InteractiveShell.clear_instance()
    assert not tracebacks.shorten()
