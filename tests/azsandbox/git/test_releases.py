"""What github.com offers to be downloaded: the manifests of a release of Flux."""

from __future__ import annotations

import httpx
import pytest
import yaml

from azsandbox.flux import facts
from tests.azsandbox.git.conftest import Served

BASE = "fluxcd/flux2/releases"


@pytest.mark.parametrize("path", ["download/v2.7.5/install.yaml", "latest/download/install.yaml"])
def test_the_manifests_of_a_release_are_downloaded(served: Served, path: str) -> None:
    answer = httpx.get(f"{served.endpoint}/{BASE}/{path}")
    objects = list(yaml.load_all(answer.content, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    assert answer.status_code == 200
    kinds = [item["kind"] for item in objects]
    assert kinds.count("Deployment") == len(facts.controllers())
    wanted = "v2.7.5" if "v2.7.5" in path else facts.default_distribution()
    assert {item["metadata"]["labels"]["app.kubernetes.io/version"] for item in objects} == {wanted}


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}/download/v0.0.1/install.yaml",
        f"{BASE}/download/v2.9.5/flux.tar.gz",
        "o/r/releases/download/v1/install.yaml",
    ],
)
def test_another_download_is_refused_by_name(served: Served, path: str) -> None:
    answer = httpx.get(f"{served.endpoint}/{path}")
    assert answer.status_code == 404
    assert "NotSupportedInSandbox" in answer.text and facts.default_distribution() in answer.text
