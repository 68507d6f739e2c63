"""What may import what, how long a module may be, and what data and notebooks must and must not hold."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES = 600
# the API server's inside, which its clients reach by the REST interface only
INSIDE = (
    "azsandbox.kubernetes.registry",
    "azsandbox.kubernetes.server",
    "azsandbox.kubernetes.verbs",
    "azsandbox.store",
)
# read whole from an API server, whose format they keep; the README beside them says of which and when
AS_SERVED = {"discovery.json", "table-columns.json"}
# settings, not facts: what a new lab.toml is written from, and how Jupyter looks
NO_FACTS = {"lab.toml", "page_config.json", "default_setting_overrides.json"}


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(node: ast.AST) -> Iterator[str]:
    """Names of modules that are imported at run time: those for types alone are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)


def _importing(files: list[Path], *modules: str) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in _imports(ast.parse(file.read_text()))
        if any(name == module or name.startswith(f"{module}.") for module in modules)
    ]


def test_the_sandbox_never_imports_the_lab() -> None:
    assert _importing(_modules("azsandbox"), "labkit") == []


def test_only_the_targets_of_the_lab_know_that_a_sandbox_is_there() -> None:
    others = [file for file in _modules("labkit") if file != ROOT / "labkit/targets.py"]
    assert _importing(others, "azsandbox") == []
    assert [str(file) for file in others if "azsandbox" in file.read_text()] == []


@pytest.mark.parametrize("package", ["azsandbox/controllers", "azsandbox/aks"])
def test_what_lives_in_a_cluster_is_a_client_of_its_api(package: str) -> None:
    assert _importing(_modules(package), *INSIDE) == []


# what others give a leading underscore without meaning it as private: named tuples, types of zlib and hashlib, IPython,
# os._exit
OPEN = {"_replace", "_asdict", "_exit", "_Compress", "_Decompress", "_Hash", "_showtraceback", "_render_traceback_"}


def _private_names_of_others(file: Path) -> Iterator[str]:
    """Reaches of a module into what begins with an underscore and is nowhere its own."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    own = set(OPEN)
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Name):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            own.add(node.attr)
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Attribute) and node.attr not in own:
            names = [node.attr]
        yield from (
            f"{file.relative_to(ROOT)}:{node.lineno}: {name}"
            for name in names
            if name.startswith("_") and not name.startswith("__")
        )


def test_no_module_reaches_into_what_is_private_to_another() -> None:
    files = [*_modules("azsandbox"), *_modules("labkit")]
    assert [reach for file in files for reach in _private_names_of_others(file)] == []


def test_no_module_is_too_long() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for package in ("azsandbox", "labkit", "tests")
        for file in _modules(package)
    }
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_notebooks_carry_no_outputs() -> None:
    carrying = [
        f"{file.name}, cell {number}"
        for file in sorted((ROOT / "notebooks").glob("*.ipynb"))
        for number, cell in enumerate(json.loads(file.read_text())["cells"])
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"] is not None)
    ]
    assert carrying == []


# what a learner's repository begins with, and the charts, whose versions are in data/registry/charts.json
TEMPLATES = {
    ROOT / "labkit/data/gitops/repository",
    ROOT / "azsandbox/data/charts",
    ROOT / "azsandbox/data/git/public",
}


def test_facts_name_their_source_and_date() -> None:
    wanting = []
    for package in ("azsandbox", "labkit"):
        for file in sorted((ROOT / package / "data").rglob("*")):
            if file.suffix not in (".json", ".yaml", ".toml") or file.name in AS_SERVED | NO_FACTS:
                continue
            if TEMPLATES & set(file.parents):
                continue
            text = file.read_text()
            if "source" not in text.lower() or not re.search(r"20\d\d-\d\d(-\d\d)?", text):
                wanting.append(str(file.relative_to(ROOT)))
    assert wanting == []
