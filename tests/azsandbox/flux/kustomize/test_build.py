"""Builds by real `kubectl kustomize`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from azsandbox.flux.kubectl import kustomize, problem
from azsandbox.flux.kustomize import build as builds
from azsandbox.flux.kustomize.build import Builder, BuildError
from azsandbox.flux.kustomize.generator import generate
from azsandbox.flux.kustomize.manifest_files import Heads
from azsandbox.flux.kustomize.tree import Tree
from tests.azsandbox.flux.kustomize.conftest import config_map

ROOT = "/tmp/kustomization-1"


def _manifests(folder: Path) -> int:
    return len(list(folder.rglob("*.yaml"))) - 1  # without the kustomization.yaml


class Counted:
    """A builder that counts how often kustomize runs, and over how many files."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.builder = Builder(home, Heads(), {})
        self.runs: list[int] = []
        real: Callable[..., Awaitable[Any]] = kustomize

        async def counted(folder: Path, *rest: Any) -> Any:
            self.runs.append(_manifests(folder))
            return await real(folder, *rest)

        monkeypatch.setattr(builds, "kustomize", counted)

    async def __call__(self, files: dict[str, str], folder: str = "", **spec: Any) -> list[str]:
        tree = Tree({name: text.encode() for name, text in files.items()})
        generated = generate(tree, folder, spec, ROOT, self.builder.heads)
        documents = await self.builder.build(tree, folder, generated, ROOT, 30)
        return [next(line for line in d.splitlines() if line.startswith("  name: ")).split()[1] for d in documents]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(tmp_path, monkeypatch)


def many(count: int, **changed: str) -> dict[str, str]:
    names = [f"c{number:02}" for number in range(count)]
    return {f"{name}.yaml": config_map(name, value=changed.get(name, "same")) for name in names}


async def test_the_same_tree_is_built_once(build: Counted) -> None:
    assert await build(many(3)) == await build(many(3)) == ["c00", "c01", "c02"]
    assert build.runs == [3]
    await build(many(3), namePrefix="dev-")
    assert build.runs == [3, 3]


async def test_a_change_of_one_file_among_many_costs_that_file(build: Counted) -> None:
    before = await build(many(20))
    assert await build(many(20, c07="other")) == before
    assert build.runs == [20, 1]
    files = many(20)
    del files["c03.yaml"]
    assert await build(files) == [name for name in before if name != "c03"]
    assert build.runs == [20, 1]


async def test_an_object_in_two_files_is_refused_by_kustomize(build: Counted) -> None:
    await build(many(8))
    with pytest.raises(BuildError, match="may not add resource with an already registered id"):
        await build({**many(8), "more.yaml": config_map("c00")})


async def test_overlays_reach_other_folders_and_keep_the_order_of_their_resources(build: Counted) -> None:
    files = {
        "apps/kustomization.yaml": "resources: [z.yaml, ../base]\nlabels: [{pairs: {team: web}}]",
        "apps/z.yaml": config_map("z"),
        "base/kustomization.yaml": "resources: [a.yaml]",
        "base/a.yaml": config_map("a"),
    }
    assert await build(files, "apps") == ["z", "a"]


async def test_an_error_is_that_of_kustomize_and_names_no_path_of_this_machine(build: Counted) -> None:
    with pytest.raises(BuildError) as failure:
        await build({"kustomization.yaml": "resources: [none.yaml]"})
    assert str(failure.value) == (
        f"accumulating resources: accumulation err='accumulating resources from 'none.yaml': open {ROOT}/none.yaml: "
        "no such file or directory': must build at directory: not a valid directory: evalsymlink failure on "
        f"'{ROOT}/none.yaml' : lstat {ROOT}/none.yaml: no such file or directory"
    )
    assert not list(build.builder.home.iterdir())


async def test_nothing_is_left_behind_by_a_build(build: Counted) -> None:
    await build(many(2))
    assert not list(build.builder.home.iterdir())


def test_complaints_of_kubectl_are_read_in_every_form() -> None:
    assert problem("error: no such file") == "no such file"
    assert problem("# Warning: 'bases' is deprecated\nerror: one\ntwo\n") == "one\ntwo"
    head = 'E1125 13:20:24.791513    7274 run.go:72] "command failed" err='
    assert problem(head + json.dumps('a "b"')) == 'a "b"'
    assert problem(head + "<\n\tone\n\t two\n >\n") == "one\n two"
