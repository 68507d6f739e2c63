"""Flux's state as a tree, a picture, and an answer to: has it arrived?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from labkit.errors import LabError
from labkit.gitops import arrival, difference, state
from labkit.views import flux_diagram
from tests.labkit.healthy import REVISION, raw_flux_objects, raw_kustomization

COMMIT = REVISION.rpartition(":")[2]


def objects() -> dict[str, list[Any]]:
    listed = raw_flux_objects()
    return {kind: listed.get(path, []) for kind, path in state.KINDS.items()}


def test_the_tree_has_sources_at_its_root_and_kept_objects_at_its_leaves() -> None:
    git, oci = state.tree(objects())
    text = git.text()
    assert text.splitlines()[0] == "GitRepository flux-system/flux-system (Ready, main@sha1:01234567)"
    assert "├── Kustomization flux-system/infrastructure (Ready, main@sha1:01234567)" in text
    assert text.splitlines()[-1] == "    └── Deployment staging/hello"
    assert "Deployment" not in git.text(objects=False)
    assert oci.below[0].title == "HelmRelease flux-system/kured"


def test_an_object_of_flux_that_failed_says_why() -> None:
    found = objects()
    found["Kustomization"][1]["status"]["conditions"][0] |= {
        "status": "False",
        "reason": "BuildFailed",
        "message": "no",
    }
    row = state.rows(found)[3]
    assert (row["object"], row["state"], row["message"]) == ("flux-system/infrastructure", "BuildFailed", "no")


def test_the_picture_says_in_words_what_it_shows() -> None:
    picture = flux_diagram.flow(state.tree(objects()))
    assert "Kustomization flux-system/apps-staging: Ready, at main@sha1:01234567, 1 object." in picture.description
    assert picture.svg.count("<rect") == 1 + 6
    assert "<script" not in picture.svg


def test_a_commit_has_arrived_when_every_kustomization_is_applied_at_it() -> None:
    found = objects()
    assert arrival.stands(found, COMMIT, "flux-system") is True
    assert (
        arrival.stands(found, "f" * 40, "flux-system") == "flux-system is at main@sha1:01234567, expected at ffffffff"
    )
    found["Kustomization"][2]["status"]["lastAppliedRevision"] = "main@sha1:" + "e" * 40
    assert arrival.stands(found, COMMIT, "flux-system") == "apps-staging is at main@sha1:eeeeeeee, expected at 01234567"
    found["Kustomization"][2]["spec"]["suspend"] = True
    assert arrival.stands(found, COMMIT, "flux-system") is True


def test_a_commit_has_not_arrived_while_its_source_is_not_ready_or_has_not_seen_its_own_change() -> None:
    found = objects()
    repository = next(item for item in found["GitRepository"] if item["metadata"]["name"] == "flux-system")
    repository["metadata"]["generation"] += 1  # an address was mended, say, and nobody has looked since
    assert arrival.stands(found, COMMIT, "flux-system") == "flux-system is at main@sha1:01234567, not ready"
    repository["status"]["observedGeneration"] += 1
    assert arrival.stands(found, COMMIT, "flux-system") is True
    repository["status"]["conditions"] = [{"type": "Ready", "status": "False", "message": "repository not found"}]
    assert arrival.stands(found, COMMIT, "flux-system") == "flux-system: repository not found"


def test_what_fails_is_told_while_it_is_waited_for() -> None:
    found = objects()
    broken = raw_kustomization("apps-production", "./apps/production")
    broken["status"]["conditions"] = [{"type": "Ready", "status": "False", "message": "kustomize build failed"}]
    found["Kustomization"].append(broken)
    assert arrival.stands(found, COMMIT, "flux-system") == "apps-production: kustomize build failed"
    assert arrival.stands({"GitRepository": [], "Kustomization": []}, COMMIT, "x") == "there is no GitRepository x"


def test_a_diff_of_kubectl_is_told_by_object() -> None:
    text = (
        "diff -u -N /tmp/LIVE-1/apps.v1.Deployment.staging.hello /tmp/MERGED-2/apps.v1.Deployment.staging.hello\n"
        "--- /tmp/LIVE-1/x\n+++ /tmp/MERGED-2/x\n@@ -1,2 +1,2 @@\n a: 1\n-b: 1\n+b: 2\n"
        "diff -u -N /tmp/LIVE-1/v1.Namespace..fresh /tmp/MERGED-2/v1.Namespace..fresh\n"
        "--- /tmp/LIVE-1/y\n+++ /tmp/MERGED-2/y\n@@ -0,0 +1 @@\n+kind: Namespace\n"
    )
    assert list(difference.changed(text)) == [
        ("Deployment staging/hello", difference.CHANGED),
        ("Namespace fresh", difference.MISSING),
    ]


def test_a_crowd_of_objects_is_told_by_kind() -> None:
    found = objects()
    entries = [{"id": f"_x{n}.example.com_apiextensions.k8s.io_CustomResourceDefinition", "v": "v1"} for n in range(14)]
    entries += [{"id": "flux-system_source-controller_apps_Deployment", "v": "v1"}]
    found["Kustomization"][1]["status"]["inventory"] = {"entries": entries}
    lines = state.tree(found)[0].text().splitlines()
    assert sum("CustomResourceDefinition" in line for line in lines) == 1
    (crowd,) = (line for line in lines if "CustomResourceDefinition" in line)
    assert "CustomResourceDefinition x0.example.com, x1.example.com" in crowd
    assert crowd.endswith(", … (14 objects)")
    assert any(line.endswith("Deployment flux-system/source-controller") for line in lines)
    assert sum(len(node.below) for node in state.tree(found)[0].walk()) > 15


def test_a_message_of_flux_has_its_digests_cut() -> None:
    found = objects()
    found["Kustomization"][1]["status"]["conditions"][0]["message"] = f"Applied revision: main@sha1:{COMMIT}"
    assert state.rows(found)[3]["message"] == "Applied revision: main@sha1:01234567"


def test_flux_is_asked_by_an_annotation_to_look_now() -> None:
    written: list[tuple[str, Mapping[str, str], str]] = []
    arrival.request(lambda *asked: written.append(asked), "flux-system", "apps", "kustomization")
    ((path, annotations, manager),) = written
    assert path == "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/apps"
    assert (list(annotations), manager) == (["reconcile.fluxcd.io/requestedAt"], "flux")
    with pytest.raises(LabError, match=r"Flux looks at gitrepository, .*; found 'deployment'\."):
        arrival.request(lambda *asked: written.append(asked), "flux-system", "apps", "deployment")


def test_what_has_arrived_is_asked_of_the_kinds_that_say_it() -> None:
    class Reader:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
            pytest.fail(f"{path} is read in pages")

        def pages(self, path: str) -> Iterator[list[dict[str, Any]]]:
            self.asked.append(path.rpartition("/")[2])
            yield []

    reader = Reader()
    found = state.read(reader, arrival.LOOKED_AT)
    assert reader.asked == ["gitrepositories", "kustomizations"]
    assert arrival.stands(found, COMMIT, "flux-system") == "there is no GitRepository flux-system"
