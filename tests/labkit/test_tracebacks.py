"""Tracebacks of cells: the learner's lines stay, those of libraries go."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.views import tracebacks


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
