from __future__ import annotations

from typing import Any

import pytest

from azsandbox.flux.kustomize.generator import BadKustomization, generate
from azsandbox.flux.kustomize.manifest_files import read_heads
from azsandbox.flux.kustomize.tree import Tree, secure_join
from tests.azsandbox.flux.kustomize.conftest import config_map

ROOT = "/tmp/kustomization-1"


def made(files: dict[str, str], folder: str = "", **spec: Any) -> dict[str, Any]:
    tree = Tree({name: text.encode() for name, text in files.items()})
    return generate(tree, folder, spec, ROOT, read_heads).content


def test_manifests_become_resources_in_the_order_of_their_paths() -> None:
    files = {
        "b.yaml": config_map("b"),
        "a/z.yml": config_map("z"),
        "a/notes.txt": "no manifest",
        "a-c.yaml": config_map("c"),
        "base/kustomization.yaml": "resources: [x.yaml]",
        "base/x.yaml": "no: manifest",
    }
    assert made(files)["resources"] == ["./a/z.yml", "./a-c.yaml", "./b.yaml", "./base"]


def test_a_path_without_manifests_has_a_placeholder() -> None:
    assert made({"apps/README.md": "nothing"}, "apps")["namespace"] == "_placeholder"


def test_a_kustomization_of_the_path_is_kept_and_patched() -> None:
    files = {"kustomization.yaml": "resources: [a.yaml]\nunknown: dropped\nimages: [{name: app, newTag: '1'}]"}
    patch = {"patch": "- op: remove\n  path: /data", "target": {"kind": "ConfigMap"}}
    content = made(
        files,
        targetNamespace="team",
        namePrefix="dev-",
        nameSuffix="-v1",
        patches=[patch],
        images=[{"name": "app", "digest": "sha256:1"}, {"name": "db", "newName": "mirror/db"}],
    )
    assert content == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["a.yaml"],
        "namespace": "team",
        "namePrefix": "dev-",
        "nameSuffix": "-v1",
        "patches": [patch],
        "images": [{"name": "app", "digest": "sha256:1"}, {"name": "db", "newName": "mirror/db"}],
    }


def test_a_kustomization_without_resources_is_not_empty() -> None:
    content = made({"kustomization.yaml": "configMapGenerator: [{name: x, literals: [a=b]}]"})
    assert content["buildMetadata"] == ["originAnnotations"]


def test_missing_components_are_left_out_where_the_spec_says_so() -> None:
    files = {"apps/kustomization.yaml": "resources: []", "parts/one/kustomization.yaml": "kind: Component"}
    spec = {"components": ["../parts/one", "../parts/two"]}
    assert made(files, "apps", **spec)["components"] == ["../parts/one", "../parts/two"]
    assert made(files, "apps", **spec, ignoreMissingComponents=True)["components"] == ["../parts/one"]
    for bad in ("https://example.com/part", "/parts/one"):
        with pytest.raises(BadKustomization, match=f"^component path '{bad}' must be local and relative$"):
            made(files, "apps", components=[bad])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apiVersion: v1\nkind: ConfigMap\n  metadata: {name: a}\n",
         "MalformedYAMLError: yaml: line 3: mapping values are not allowed in this context"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: team, labels: {b: c, a: b}}\n",
         "missing metadata.name in object {{v1 ConfigMap} {{ team} map[a:b b:c] map[]}}"),
        ("apiVersion: v2\nname: chart\n", "missing kind in object {{v2 } {{ } map[] map[]}}"),
        ("replicas: 1\n", "missing Resource metadata"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_manifest_is_named_with_the_words_of_kustomize(text: str, message: str) -> None:
    with pytest.raises(BadKustomization) as failure:
        made({"apps/a.yaml": text}, "apps")
    assert str(failure.value) == f"failed to decode Kubernetes YAML from {ROOT}/apps/a.yaml: {message}"


def test_a_kustomization_of_wrong_types_is_refused_as_go_decodes_it() -> None:
    with pytest.raises(BadKustomization, match=r"Go struct field Kustomization\.resources of type \[\]string$"):
        made({"kustomization.yaml": "resources: a.yaml"})
    with pytest.raises(BadKustomization, match=r"^error converting YAML to JSON: yaml: "):
        made({"kustomization.yaml": "a: b: c"})


def test_a_path_stays_within_the_artifact() -> None:
    assert secure_join("./apps/") == "apps"
    assert secure_join("../../apps/../base") == "base"
    assert secure_join("/") == secure_join("") == ""
