"""Tracebacks of a notebook that show the learner's own lines, and leave out those of the libraries below.

IPython reads and parses each file that a traceback goes through. The operations of azure-mgmt-network are one file of
some hundred thousand lines: an error of Azure's took eleven seconds to show, below pages of a library's code.
"""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Any

from labkit.views import names

_SAID_AGAIN = re.compile(r"\((\w+)\) (.*)\nCode: \1\nMessage: \2(?=\n|$)", re.DOTALL)
"""An error of the Azure SDKs as text: code and message, and both of them once more."""


def shorten() -> bool:
    """From now on, show errors of cells by the lines of cells alone; False where there is no IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return False
    shell.set_custom_exc((Exception,), _show)
    return True


def _show(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> list[str]:
    """IPython's handler of what a cell raises; returns the lines that were shown."""
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # what %tb shows
    if hasattr(error, "_render_traceback_"):
        lines: list[str] = error._render_traceback_()
    else:
        lines = _lines(shell, kind, error, trace)
    if isinstance(error, NameError) and error.name:
        first = names.hint(error.name, names.notebook(shell.user_ns))
        lines += [f"Next: {first}"] if first else []
    shell._showtraceback(kind, error, lines)
    return lines


def _lines(shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType) -> list[str]:
    own, others = in_cells(trace)
    if own is None or isinstance(error, SyntaxError):
        return list(shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=0))
    # What the error came from is the library's as well, so that the one that reached the cell is shown alone.
    chain = error.__cause__, error.__context__, error.__suppress_context__
    error.__cause__, error.__context__ = None, None
    try:
        lines = list(shell.InteractiveTB.structured_traceback(kind, error, own, tb_offset=0))
    finally:
        error.__cause__, error.__context__, error.__suppress_context__ = chain
    error.__traceback__ = own  # IPython formats it once more, for its history
    lines = [_SAID_AGAIN.sub(r"(\1) \2", line) for line in lines]
    more = "1 more line" if others == 1 else f"{others} more lines"
    return [*lines, f"%tb shows {more}, of libraries."] if others else lines


def in_cells(trace: TracebackType | None) -> tuple[TracebackType | None, int]:
    """The part of a traceback that is lines of cells, or None without any; and how many other lines are below them."""
    found: list[TracebackType] = []
    others = 0
    while trace is not None:
        if "__name__" in trace.tb_frame.f_globals and trace.tb_frame.f_globals["__name__"] == "__main__":
            found.append(trace)
        elif found:
            others += 1
        trace = trace.tb_next
    own: TracebackType | None = None
    for part in reversed(found):
        own = TracebackType(own, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return own, others
