"""The repository as the lab lays it out: built by kustomize, with the lab's names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from labkit.gitops import bootstrap, documents, scaffold
from labkit.settings import Settings


def test_every_folder_that_a_kustomization_names_builds(tmp_path: Path) -> None:
    scaffold.write(tmp_path, Settings())
    found = documents.read(tmp_path)
    paths = [d["spec"]["path"] for d in found["documents"] if d["apiVersion"].startswith("kustomize.toolkit")]
    assert sorted(paths) == ["./apps/production", "./apps/staging", "./infrastructure"]
    for path in paths:
        built = subprocess.run(["kubectl", "kustomize", str(tmp_path / path)], capture_output=True, check=True)
        assert [item for item in yaml.safe_load_all(built.stdout) if item]


def test_what_a_learner_changed_is_not_written_over(tmp_path: Path) -> None:
    settings = Settings()
    settings.cluster = "other"
    first = scaffold.write(tmp_path, settings)
    assert "clusters/other/infrastructure.yaml" in first
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "apps/base/hello/service.yaml").unlink()
    assert scaffold.write(tmp_path, settings) == ["apps/base/hello/service.yaml"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_secret_s_values_are_never_kept(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2, other: 'ENC[AES]'}\n"
    (tmp_path / "secret.yaml").write_text(text)
    (tmp_path / "broken.yaml").write_text("password: hunter2\n  x: [")
    found = documents.read(tmp_path)
    assert found["documents"][0]["keys"] == {"password": "plain", "other": "encrypted"}
    assert found["broken"][0]["problem"].startswith("it is no YAML in line")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("address", ["", "https://dev.azure.com/o/p/_git/r"])
def test_a_bootstrap_follows_the_repository_of_the_settings(address: str) -> None:
    settings = Settings()
    settings.repository_url = address
    files = bootstrap.files(settings, "components")
    source, sync = [
        item for item in yaml.safe_load_all(files["clusters/aks-baseline/flux-system/gotk-sync.yaml"]) if item
    ]
    assert source["spec"]["url"] == (address or "https://github.com/contoso/aks-baseline-clusters")
    assert sync["spec"]["path"] == "./clusters/aks-baseline"
