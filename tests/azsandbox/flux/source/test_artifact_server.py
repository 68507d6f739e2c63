"""Artifacts are fetched from source-controller's Service."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from azsandbox.kubernetes.program_http import HttpRequest
from tests.azsandbox.flux.source.conftest import Sources
from tests.fidelity.fixtures import Fixtures

POD = {"spec": {"containers": [{"image": "ghcr.io/fluxcd/source-controller:v1"}]}}


async def test_an_artifact_is_served_at_the_address_that_its_status_names(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    artifact = (await sources.ready("GitRepository"))["artifact"]
    listening = sources.flux.runtime.ports.of(POD, 9090)
    assert listening
    answer = await listening(HttpRequest("GET", urlsplit(artifact["url"]).path))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-gzip")
    assert f"sha256:{hashlib.sha256(answer.body).hexdigest()}" == artifact["digest"]


async def test_folders_are_listed_and_nothing_outside_is_served(sources: Sources) -> None:
    folder = sources.flux.runtime.storage / "gitrepository" / "apps"
    folder.mkdir(parents=True)
    (folder / "x y").write_text("z")
    (sources.flux.runtime.storage.parent / "secret").write_text("s")
    listening = sources.flux.runtime.ports.of(POD, 9090)
    assert listening
    answer = await listening(HttpRequest("GET", "/gitrepository/apps/"))
    assert b'<pre>\n<a href="x%20y">x y</a>\n</pre>' in answer.body
    assert (await listening(HttpRequest("GET", "/gitrepository/apps"))).headers["location"] == "apps/"
    for path in ("/../secret", "/%2e%2e/secret", "/none", "//etc/passwd"):
        assert (await listening(HttpRequest("GET", path))).status == 404, path
