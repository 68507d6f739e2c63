from __future__ import annotations

import pytest

from azsandbox.flux.kustomize.restrictions import Forbidden, follow
from azsandbox.flux.kustomize.tree import Tree

ROOT = "/tmp/kustomization-1"


def walked(files: dict[str, str], folder: str = "", *, remote_bases: bool = True) -> list[str]:
    tree = Tree({name: text.encode() for name, text in files.items()})
    return follow(tree, folder, ROOT, remote_bases=remote_bases).remote


def test_files_of_the_whole_artifact_may_be_read() -> None:
    files = {
        "apps/web/kustomization.yaml": "resources: [../../base]\nconfigMapGenerator: [{name: a, files: [x=../x.txt]}]",
        "base/kustomization.yaml": "resources: [a.yaml]",
    }
    assert walked(files, "apps/web") == []


@pytest.mark.parametrize(
    "text",
    [
        "configMapGenerator: [{name: a, files: [x=../../secret]}]",
        "secretGenerator: [{name: a, envs: [/etc/environment]}]",
        "patches: [{path: ../../patch.yaml}]",
        "crds: [../../crd.yaml]",
        "replacements: [{path: /etc/passwd}]",
        "openapi: {path: ../../schema.json}",
        "generators: ['{kind: ConfigMapGenerator, files: [../../x]}\n']",
    ],
)
def test_a_file_outside_of_the_artifact_is_not_read(text: str) -> None:
    with pytest.raises(Forbidden, match=rf"^fs-security-constraint read .*is not in or below '{ROOT}'$"):
        walked({"apps/kustomization.yaml": text}, "apps")


def test_a_base_outside_of_the_artifact_is_named_with_the_way_to_it() -> None:
    files = {"apps/kustomization.yaml": "resources: [../base]", "base/kustomization.yaml": "resources: [../../x.yaml]"}
    with pytest.raises(Forbidden) as failure:
        walked(files, "apps")
    assert str(failure.value) == (
        f"accumulating resources: accumulation err='accumulating resources from '../base': read {ROOT}/base: is a "
        f"directory': recursed accumulation of path '{ROOT}/base': accumulating resources: accumulation err="
        "'accumulating resources from '../../x.yaml': fs-security-constraint read /tmp/x.yaml: path '/tmp/x.yaml' is "
        f"not in or below '{ROOT}'': must build at directory: not a valid directory: evalsymlink failure on "
        "'/tmp/x.yaml' : lstat /tmp/x.yaml: no such file or directory"
    )
    with pytest.raises(Forbidden, match=r"new root '/etc/hostname' cannot be absolute$"):
        walked({"kustomization.yaml": "resources: [/etc/hostname]"})


def test_remote_bases_are_told_apart_and_may_be_off() -> None:
    files = {"kustomization.yaml": "resources: ['https://git.example.com/base?ref=v1']"}
    assert walked(files) == ["https://git.example.com/base?ref=v1"]
    with pytest.raises(Forbidden, match="remote bases are disabled"):
        walked(files, remote_bases=False)


def test_paths_of_fields_are_no_files() -> None:
    text = "transformers: ['{kind: LabelTransformer, fieldSpecs: [{path: /metadata/labels}]}\n']"
    assert walked({"kustomization.yaml": text}) == []
