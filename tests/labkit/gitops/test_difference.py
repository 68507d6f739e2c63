"""Git beside the cluster: every Kustomization is built, and the server compares what was built."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier
from typing import Any

import yaml

from labkit.gitops import difference
from labkit.output import Output

DIFF = "diff -u -N /tmp/LIVE-1/v1.ConfigMap.b.there /tmp/MERGED-1/v1.ConfigMap.b.there\n--- a\n+++ b\n-old\n+new\n"


def kustomization(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "flux-system"}, "spec": {"path": f"./{name}"}}


def test_kustomizations_are_built_at_once_and_compared_in_one_go(tmp_path: Path) -> None:
    for name in ("a", "b", "broken"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kustomization.yaml").touch()
    all_build, sent = Barrier(3), []

    def kubectl(words: list[str], *, input: str | None = None, check: bool = True) -> Output:
        assert not check
        if words[0] == "diff":
            sent.append(input)
            return Output("diff", 1, DIFF, "")
        all_build.wait(timeout=30)  # none ends before all have begun
        name = Path(words[1]).name
        if name == "broken":
            return Output("kustomize", 1, "", "error: no such file")
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "there", "namespace": name}}
        return Output("kustomize", 0, yaml.safe_dump(obj), "")

    items = [kustomization("broken"), kustomization("a"), kustomization("b")]
    assert list(difference.rows(items, tmp_path, kubectl)) == [
        {"kustomization": "broken", "object": "broken", "state": "does not build: error: no such file"},
        {"kustomization": "b", "object": "ConfigMap b/there", "state": difference.CHANGED},
        {"kustomization": "a", "object": "all", "state": difference.SAME},
    ]
    (text,) = sent
    compared = [obj["metadata"] for obj in yaml.safe_load_all(text or "")]
    assert [found["labels"]["kustomize.toolkit.fluxcd.io/name"] for found in compared] == ["a", "b"]
