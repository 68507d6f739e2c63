"""Which cell a name comes from, for a cell that was run before it."""

from __future__ import annotations

import json
import os
import re
import symtable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ABOVE = "run the cells above this one first (menu Run, Run All Above Selected Cell)."


def notebook(names: Mapping[str, Any]) -> Path | None:
    """The file of the notebook that runs, if its front end tells: Jupyter's server and VS Code do.

    `names` are those of the notebook. JPY_SESSION_NAME is of jupyter_server (sessionmanager, get_kernel_env).
    """
    told = str(names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "")
    return Path(told) if told.endswith(".ipynb") else None


def hint(name: str, path: Path | None) -> str:
    """What to run first, where `name` is not known yet; "" where no cell of the notebook at `path` gives it a value."""
    if path is None or not path.exists():
        return ABOVE
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, OSError):
        return ABOVE
    for cell in cells:
        source = "".join(cell.get("source") or "")
        if cell.get("cell_type") == "code" and name in given(source):
            first = next(line for line in source.splitlines() if line.strip())
            return f"{name!r} comes from the cell that begins with `{first.strip()}`: run that one first."
    return ""


def given(source: str) -> set[str]:
    """The names that a cell gives a value, imports and functions among them; none for one that is not Python."""
    try:
        table = symtable.symtable(re.sub(r"^[!%].*$", "pass", source, flags=re.MULTILINE), "cell", "exec")
    except SyntaxError:
        return set()
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
