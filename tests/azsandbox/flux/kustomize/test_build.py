"""Builds by real `kubectl kustomize`."""

from __future__ import annotations

import json
import subprocess
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

        async def counted(folder: Path, *rest: Any, **options: Any) -> Any:
            self.runs.append(_manifests(folder))
            return await real(folder, *rest, **options)

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


@pytest.mark.parametrize(
    ("path", "text", "rebuilt"),
    [
        ("web/more.yaml", config_map("more"), True),
        ("web/kustomization.yaml", "namePrefix: dev-\nresources: [../base]\n", True),
        ("base/one.yaml", config_map("one", value="other"), True),
        ("shared/patch.yaml", "- {op: add, path: /data/more, value: that}", True),
        ("shared/other.yaml", config_map("other"), False),
        ("elsewhere/kustomization.yaml", "resources: []", False),
        ("base-of-others/one.yaml", config_map("one"), False),
    ],
)
async def test_a_commit_costs_a_build_where_it_changes_what_is_read(
    build: Counted, path: str, text: str, rebuilt: bool
) -> None:
    patches = "[{path: ../shared/patch.yaml, target: {kind: ConfigMap}}]"
    files = {
        "web/kustomization.yaml": f"resources: [../base]\npatches: {patches}\n",
        "base/kustomization.yaml": "resources: [one.yaml]\n",
        "base/one.yaml": config_map("one"),
        "shared/patch.yaml": "- {op: add, path: /data/more, value: this}",
    }
    assert await build(files, "web") == ["one"]
    await build({**files, path: text}, "web")
    assert len(build.runs) == (2 if rebuilt else 1)


async def test_a_kustomization_that_may_name_other_files_is_built_for_every_change(build: Counted) -> None:
    files = {
        "web/kustomization.yaml": "resources: [../base]\n",
        "base/kustomization.yaml": "Resources: [one.yaml]\n",
        "base/one.yaml": config_map("one"),
    }
    await build(files, "web")
    await build({**files, "elsewhere/one.yaml": config_map("one")}, "web")
    assert len(build.runs) == 2


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


_CANARY = "kept-for-me-alone"
_GENERATOR = "kind: ConfigMapGenerator\napiVersion: builtin\nmetadata: {name: g}\n"


@pytest.mark.parametrize("beyond", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"base/kustomization.yaml": "configMapGenerator: [{name: g, Files: [CANARY]}]"},
        {"base/kustomization.yaml": "configMapGenerator: [{name: g, file\u017f: [CANARY]}]"},
        {"base/kustomization.yaml": "generators: [more]", "base/more/kustomization.yaml": "resources: [g.yaml]"},
        {"base/kustomization.yaml": "generators: [list.yaml]"},
        {"base/kustomization.yaml": "configMapGenerator: [{name: g, files: [k.txt], files: [CANARY]}]"},
    ],
)
async def test_no_spelling_brings_in_a_file_of_this_machine(
    build: Counted, tmp_path: Path, files: dict[str, str], beyond: bool
) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text(_CANARY)
    tree = {
        "app/kustomization.yaml": f"resources: [../base{', ../k.yaml' if beyond else ''}]",
        "k.yaml": config_map("k"),
        "base/more/g.yaml": f"{_GENERATOR}files: [CANARY]\n",
        "base/list.yaml": "kind: List\napiVersion: v1\nitems:\n- kind: ConfigMapGenerator\n  apiVersion: builtin\n"
        "  metadata: {name: g}\n  files: [CANARY]\n",
        **files,
    }
    tree = {name: text.replace("CANARY", str(canary)) for name, text in tree.items()}
    with pytest.raises(BuildError, match=r"is not in or below|key .files. already set") as failure:
        await build(tree, "app")
    assert _CANARY not in str(failure.value)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository on this machine, of a base."""
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "kustomization.yaml").write_text("resources: [c.yaml]")
    (origin / "c.yaml").write_text(config_map("c"))
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", str(origin), *command], check=True)
    return origin


async def test_a_remote_base_is_no_repository_of_this_machine(build: Counted, origin: Path) -> None:
    for address in (f"file://{origin}", f"git::file://{origin}", f"ext::cat% {origin}"):
        with pytest.raises(BuildError):
            await build({"kustomization.yaml": f"resources: ['{address}']"})


async def test_files_beside_a_kustomization_are_read_where_all_is_clear(build: Counted) -> None:
    files = {
        "app/kustomization.yaml": "resources: [../k.yaml]\nconfigMapGenerator: [{name: g, files: [../k.yaml]}]",
        "k.yaml": config_map("k"),
    }
    assert len(await build(files, "app")) == 2


async def test_nothing_is_left_behind_by_a_build(build: Counted) -> None:
    await build(many(2))
    assert not list(build.builder.home.iterdir())


def test_complaints_of_kubectl_are_read_in_every_form() -> None:
    assert problem("error: no such file") == "no such file"
    assert problem("# Warning: 'bases' is deprecated\nerror: one\ntwo\n") == "one\ntwo"
    head = 'E1125 13:20:24.791513    7274 run.go:72] "command failed" err='
    assert problem(head + json.dumps('a "b"')) == 'a "b"'
    assert problem(head + "<\n\tone\n\t two\n >\n") == "one\n two"
