"""What is done to rendered manifests before they are released."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.flux.helm import post_render
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.post_render import COMBINED, NO_HOOKS, SEPARATE
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, Lab

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
HOOK = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\n"
OWN = "    helm.toolkit.fluxcd.io/name: web\n    helm.toolkit.fluxcd.io/namespace: apps\n"


def release(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": NAMESPACE}, "spec": spec}


def patched(patch: str) -> list[dict[str, Any]]:
    return [{"kustomize": {"patches": [{"patch": patch}]}}]


async def one(text: str, strategy: str = COMBINED, **spec: Any) -> str:
    found = await post_render.post_rendered(release(**spec), {"web/templates/a.yaml": text}, strategy)
    return found["web/templates/a.yaml"]


async def test_every_object_says_which_release_it_is_of() -> None:
    assert await one(CONFIG_MAP) == f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n{OWN}  name: a\n"


async def test_common_metadata_is_added_to_what_an_object_has() -> None:
    common = {"labels": {"team": "a", "app": "b"}, "annotations": {"note": "c"}}
    text = await one(CONFIG_MAP.replace("{name: a}", "{name: a, labels: {app: web}}"), commonMetadata=common)
    assert text == (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    note: c\n"
        f"  labels:\n    app: b\n{OWN}    team: a\n  name: a\n"
    )


async def test_kustomize_patches_what_was_rendered() -> None:
    text = await one(CONFIG_MAP, postRenderers=patched(f"{CONFIG_MAP}data: {{patched: 'true'}}\n"))
    assert 'data:\n  patched: "true"\n' in text


async def test_a_patch_that_finds_nothing_fails_in_kustomizes_words() -> None:
    with pytest.raises(HelmFailed) as caught:
        await one(CONFIG_MAP, postRenderers=patched(CONFIG_MAP.replace("name: a", "name: b")))
    assert str(caught.value).startswith(
        "error while running post render on files: "
        'no resource matches strategic merge patch "ConfigMap.v1.[noGrp]/b.[noNs]": no matches for Id'
    )


@pytest.mark.parametrize(
    ("strategy", "hook"), [(COMBINED, True), (SEPARATE, True), (NO_HOOKS, False)]
)  # fmt: skip
async def test_hooks_are_rendered_after_too_unless_they_are_to_be_left(strategy: str, hook: bool) -> None:
    files = {"web/templates/a.yaml": CONFIG_MAP, "web/templates/h.yaml": HOOK}
    found = await post_render.post_rendered(release(), files, strategy)
    assert OWN in found["web/templates/a.yaml"]
    assert (OWN in found["web/templates/h.yaml"]) == hook


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "error merging manifests: parsing web/templates/a.yaml: MalformedYAMLError: yaml: "
                    "mapping values are not allowed in this context"),
        ("a:\n\tb: c", "error merging manifests: parsing web/templates/a.yaml: MalformedYAMLError: yaml: line 2: "
                       "found character that cannot start any token"),
        ("just text", "error merging manifests: parsing web/templates/a.yaml: wrong node kind: "
                      "expected MappingNode but got ScalarNode: node contents:\njust text"),
        ("- a\n- b", "error merging manifests: parsing web/templates/a.yaml: wrong node kind: "
                     "expected MappingNode but got SequenceNode: node contents:\n- a\n- b"),
        ("apiVersion: v1\nkind: ConfigMap\n", "error while running post render on files: missing metadata.name in "
            "object {{v1 ConfigMap} {{ } map[] map[postrenderer.helm.sh/postrender-filename:web/templates/a.yaml]}}"),
        (f"{CONFIG_MAP}---\n{CONFIG_MAP}", "error while running post render on files: may not add resource with an "
                                           "already registered id: ConfigMap.v1.[noGrp]/a.[noNs]"),
    ],
)  # fmt: skip
async def test_what_is_no_manifest_is_refused_in_helms_words(text: str, message: str) -> None:
    with pytest.raises(HelmFailed) as caught:
        await one(text)
    assert str(caught.value).strip() == message


async def test_a_change_of_common_metadata_is_released(lab: Lab) -> None:
    before = await lab.installed(CHART, commonMetadata={"labels": {"team": "a"}})
    await lab.change(commonMetadata={"labels": {"team": "b"}})
    status = await lab.is_ready(2)
    assert status["observedCommonMetadataDigest"] != before["observedCommonMetadataDigest"]
    assert status["history"][0]["version"] == 2
    found = await lab.client.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/web")
    assert found["metadata"]["labels"]["team"] == "b"
