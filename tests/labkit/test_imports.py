"""What lessons import, read from what they say, and what may not be remembered of the time before a lab is open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from labkit import imports

LESSONS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]-*.ipynb"))
SET_BY_A_LAB = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "ALL_PROXY"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "KUBECONFIG", "GITHUB_TOKEN"),
    *("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZSANDBOX_HOME"),
)
PROBE = """
import gc, json, os, sys, types
from pathlib import Path

class Recorded(type(os.environ)):
    def __getitem__(self, name):
        frame = sys._getframe(1)
        while frame.f_globals["__name__"] in ("os", "collections.abc"):
            frame = frame.f_back
        read.append((str(name), frame.f_globals["__name__"]))
        return super().__getitem__(name)

    def __iter__(self):
        read.append(("all of it", sys._getframe(1).f_globals["__name__"]))
        return super().__iter__()

read = []
os.environ.__class__ = Recorded
from labkit import forkserver, imports
imports.load([*forkserver.KERNEL, *imports.of_notebooks(map(Path, sys.argv[1:]))])
import asyncio, socket, ssl, requests, zmq
kinds = (asyncio.AbstractEventLoop, socket.socket, ssl.SSLContext, requests.Session, zmq.Context, zmq.Socket)
opened = [repr(thing) for thing in gc.get_objects() if isinstance(thing, kinds)]
print(json.dumps({"read": read, "opened": opened, "modules": list(sys.modules), "refused": forkserver._refused()}))
"""


def write(path: Path, *cells: str) -> Path:
    document = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    path.write_text(json.dumps(document))
    return path


def test_modules_and_what_may_be_modules_of_a_package_are_named_in_order(tmp_path: Path) -> None:
    cells = ("import b, a.c\nfrom d.e import f as g, h", "def later():\n    import late\nimport a.c")
    assert imports.of_notebooks([write(tmp_path / "x", *cells)]) == ["b", "a.c", "d.e", "d.e.f", "d.e.h", "late"]


def test_what_is_used_of_an_import_in_another_cell_is_named_as_it_may_be_a_module(tmp_path: Path) -> None:
    """The kubernetes client imports each of its interfaces when it is first used: a second for that of pods."""
    cells = ("from a import client as c\nimport b.d, e as f", "c.CoreV1Api().list_pod()\nf.g, b.d, other.name")
    found = imports.of_notebooks([write(tmp_path / "x", *cells)])
    assert found[:4] == ["a", "a.client", "b.d", "e"]
    assert sorted(found[4:]) == ["a.client.CoreV1Api", "e.g"]


def test_lines_for_the_shell_hide_no_import_and_cells_that_do_not_parse_have_none(tmp_path: Path) -> None:
    path = write(tmp_path / "x", "import a\n!ls {a}\nif a:\n    %time a\n    import b", "import c c", "from . import d")
    assert imports.of_notebooks([path]) == ["a", "b"]


def test_what_is_no_notebook_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    assert imports.of_notebooks([tmp_path / "x", tmp_path / "not there"]) == []


def test_what_the_lab_imports_for_a_lesson_later_is_named_too(tmp_path: Path) -> None:
    found = imports.of_notebooks([write(tmp_path / "x", "from labkit import Lab")])
    assert {"labkit.lab", "labkit.views.cards", "azure.identity", "kubernetes.config", "ipywidgets"} <= {*found}
    assert "labkit.cli" not in found


def test_what_cannot_be_imported_is_left_to_the_lesson(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "broken_by_design.py").write_text("raise RuntimeError('why')")
    (tmp_path / "sound_by_design.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    imports.load(["broken_by_design", "broken_by_design.name", "no_such_module", "json.loads", "sound_by_design"])
    assert "sound_by_design" in sys.modules
    assert "broken_by_design" not in sys.modules


def test_nothing_that_lessons_import_has_read_what_a_lab_sets_or_opened_anything() -> None:
    """The kubernetes client keeps KUBECONFIG when it is imported: lessons found no cluster, or another one."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, LESSONS)], capture_output=True, text=True, check=True
    )
    seen = json.loads(ended.stdout)
    assert seen["refused"] == ""
    assert seen["opened"] == []
    expected = {"azure.identity", "azure.mgmt.network", "github", "kubernetes.client.api.core_v1_api"}
    assert expected <= {*seen["modules"]}
    kept = [(name, module) for name, module in seen["read"] if module in seen["modules"]]
    assert len(kept) > 5
    assert [each for each in kept if each[0].startswith(("AZURE_", "GIT_", *SET_BY_A_LAB, "all of it"))] == []
