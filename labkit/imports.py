"""What lessons import: read from their own import statements, and from those of the lab's modules that they reach.

A process that has imported it all can be forked into kernels that start at once (labkit/forkserver.py). Statements inside
functions count as well: they are imports all the same, only later.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "labkit"
READING = ("kubernetes.config",)
"""Packages that keep, when they are imported, what the environment says of what `Lab.open` sets in it: KUBECONFIG."""


def ahead(*paths: str) -> None:
    """Import what the notebooks at `paths` import."""
    load(of_notebooks(map(Path, paths)))


def of_notebooks(paths: Iterable[Path]) -> list[str]:
    """The modules that the notebooks at `paths` import, and that the lab imports for them, in that order, each once.

    A cell that does not parse has none, nor has a file that is no notebook: whoever runs it is told. So are names that
    turn out to be no modules: `from json import loads` gives "json" and "json.loads".
    """
    found: dict[str, None] = {}
    waiting = [name for path in paths for name in of_sources(*cells(path))]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            if name.split(".")[0] == PACKAGE:
                waiting += _of_module(name)
    return list(found)


def of_sources(*sources: str) -> Iterator[str]:
    """The names that the import statements of `sources` ask for, wherever they are, and the attributes that are used of
    what they bind, since a package may import what is behind its attribute when it is first used."""
    bound: dict[str, str] = {}
    used: list[tuple[str, str]] = []
    for node in (node for source in sources for node in _nodes(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                if alias.asname:
                    bound[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            for alias in (alias for alias in node.names if alias.name != "*"):
                yield (name := f"{node.module}.{alias.name}")
                bound[alias.asname or alias.name] = name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.append((node.value.id, node.attr))
    yield from (f"{bound[name]}.{attribute}" for name, attribute in used if name in bound)


def _nodes(source: str) -> Iterator[ast.AST]:
    try:
        return ast.walk(ast.parse(source))
    except SyntaxError:
        return iter(())


def load(names: Iterable[str]) -> None:
    """Import `names`, as far as they are modules that can be imported; no name is bound anywhere.

    What fails is left to the lesson, which will be told in its own cell. So is what would remember the environment of
    now, in which no lab is open yet.
    """
    for name in names:
        parent, _, last = name.rpartition(".")
        try:
            if parent and hasattr(importlib.import_module(parent), last):
                continue
            importlib.import_module(name)
        except Exception:  # noqa: S112 - whatever a module raises while it is imported
            continue
    for name in READING:
        _forget(name)


def _forget(package: str) -> None:
    """Takes a package out of what is imported, so that the next import runs it again."""
    parent, _, last = package.rpartition(".")
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    if parent in sys.modules:
        vars(sys.modules[parent]).pop(last, None)


def cells(path: Path) -> Iterator[str]:
    """The sources of the cells of code at `path`, without the lines that are not Python."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]:
            yield re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", "".join(cell["source"]))
    except (OSError, ValueError, KeyError, TypeError):
        return


def _of_module(name: str) -> list[str]:
    """What a module of the lab imports, and the modules of a package in it, some of which are only named in its data;
    nothing for a name that is no module."""
    path = Path(__file__).parent.joinpath(*name.split(".")[1:])
    if path.is_dir() and name != PACKAGE:
        return [f"{name}.{file.stem}" for file in sorted(path.glob("[!_]*.py"))]
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return list(of_sources(file.read_text(encoding="utf-8"))) if file.is_file() else []
