"""Manifests, tags, referrers and lists."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.azsandbox.registry.conftest import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    Azure,
    digest_of,
    push_blob,
    push_image,
)


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["errors"][0]["code"]
    return found


async def test_an_image_is_read_by_tag_and_by_digest_as_it_was_pushed(registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "team/app", "v1")
    for reference in ("v1", digest):
        found = await registry.get(f"/v2/team/app/manifests/{reference}")
        assert found.headers["docker-content-digest"] == digest == digest_of(found.content)
        assert found.headers["content-type"] == MANIFEST
        head = await registry.head(f"/v2/team/app/manifests/{reference}")
        assert head.headers["content-length"] == str(len(found.content)) and head.content == b""


async def test_a_tag_moves_and_the_manifest_behind_it_stays(registry: httpx.AsyncClient) -> None:
    first = await push_image(registry, "app", "latest", "one")
    second = await push_image(registry, "app", "latest", "two")
    assert (await registry.head("/v2/app/manifests/latest")).headers["docker-content-digest"] == second
    assert (await registry.get(f"/v2/app/manifests/{first}")).status_code == 200


async def test_what_a_manifest_is_made_of_must_be_there(registry: httpx.AsyncClient) -> None:
    descriptor = {"mediaType": LAYER, "digest": digest_of(b"nowhere"), "size": 7}
    body: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []}
    headers = {"Content-Type": MANIFEST}
    missing = await registry.put("/v2/app/manifests/v1", content=json.dumps(body), headers=headers)
    assert missing.status_code == 404 and code(missing) == "MANIFEST_BLOB_UNKNOWN"
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}
    child = await registry.put("/v2/app/manifests/v1", content=json.dumps(index), headers={"Content-Type": INDEX})
    assert child.status_code == 404 and code(child) == "MANIFEST_UNKNOWN"


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (MANIFEST, "no json"),
        (MANIFEST, "[]"),
        (MANIFEST, '{"schemaVersion": 1}'),
        ("application/json", '{"schemaVersion": 2}'),
        (INDEX, json.dumps({"schemaVersion": 2, "mediaType": MANIFEST})),
        (MANIFEST, json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:short"}})),
    ],
)
async def test_what_is_no_manifest_is_refused(registry: httpx.AsyncClient, media_type: str, body: str) -> None:
    answer = await registry.put("/v2/app/manifests/v1", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 400 and code(answer) == "MANIFEST_INVALID"


async def test_a_missing_tag_and_a_missing_digest_are_told_as_azure_tells_them(registry: httpx.AsyncClient) -> None:
    await push_image(registry, "app", "v1")
    by_tag = (await registry.get("/v2/app/manifests/v2")).json()["errors"][0]
    assert by_tag == {
        "code": "MANIFEST_UNKNOWN",
        "message": 'manifest tagged by "v2" is not found',
        "detail": {"Tag": "v2"},
    }
    digest = digest_of(b"none")
    by_digest = (await registry.get(f"/v2/app/manifests/{digest}")).json()["errors"][0]
    assert by_digest["message"] == f"manifest {digest} is not found"


async def test_deleting_a_manifest_takes_its_tags_and_what_only_it_used(
    azure: Azure, registry: httpx.AsyncClient
) -> None:
    first = await push_image(registry, "app", "v1", "one")
    second = await push_image(registry, "app", "v2", "two")
    assert (await registry.delete(f"/v2/app/manifests/{first}")).status_code == 202
    assert (await registry.get("/v2/app/tags/list")).json() == {"name": "app", "tags": ["v2"]}
    assert (await registry.head(f"/v2/app/blobs/{digest_of(b'one')}")).status_code == 404
    assert (await registry.head(f"/v2/app/blobs/{digest_of(b'two')}")).status_code == 200
    await registry.delete(f"/v2/app/manifests/{second}")
    assert (await registry.get("/v2/_catalog")).json() == {"repositories": []}
    assert code(await registry.get("/v2/app/tags/list")) == "NAME_UNKNOWN"
    assert set(azure.host.registries.contents.blobs.all()) == set()


async def test_deleting_a_tag_leaves_the_manifest(registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "app", "v1")
    assert (await registry.delete("/v2/app/manifests/v1")).status_code == 202
    assert (await registry.get("/v2/app/tags/list")).json()["tags"] == []
    assert (await registry.get(f"/v2/app/manifests/{digest}")).status_code == 200


async def test_lists_come_in_pages_that_link_to_the_next(registry: httpx.AsyncClient) -> None:
    for tag in ("a", "b", "c"):
        await push_image(registry, "app", tag)
    found, url = [], "/v2/app/tags/list?n=2"
    while url:
        page = await registry.get(url)
        found.append(page.json()["tags"])
        url = page.headers.get("link", "").partition("<")[2].partition(">")[0]
    assert found == [["a", "b"], ["c"]]
    assert (await registry.get("/v2/app/tags/list?n=2")).headers["link"] == (
        '</v2/app/tags/list?last=b&n=2&orderby=>; rel="next"'
    )
    assert (await registry.get("/v2/app/tags/list?n=x")).json()["errors"][0]["code"] == "PAGINATION_NUMBER_INVALID"
    await push_image(registry, "base", "v1")
    assert (await registry.get("/v2/_catalog?n=1")).json() == {"repositories": ["app"]}
    assert (await registry.get("/v2/_catalog?n=1&last=app")).json() == {"repositories": ["base"]}


async def test_referrers_are_listed_by_what_they_are_about(registry: httpx.AsyncClient) -> None:
    subject = await push_image(registry, "app", "v1")
    about = {"subject": {"mediaType": MANIFEST, "digest": subject, "size": 1}}
    signature = await push_image(registry, "app", "sig", "s", artifactType="application/vnd.example.signature", **about)
    bill = await push_image(registry, "app", "sbom", "b", artifactType="application/spdx+json", **about)
    found = await registry.get(f"/v2/app/referrers/{subject}")
    assert found.headers["content-type"] == INDEX
    assert {m["digest"]: m["artifactType"] for m in found.json()["manifests"]} == {
        signature: "application/vnd.example.signature",
        bill: "application/spdx+json",
    }
    filtered = await registry.get(f"/v2/app/referrers/{subject}", params={"artifactType": "application/spdx+json"})
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [m["digest"] for m in filtered.json()["manifests"]] == [bill]
    await registry.delete(f"/v2/app/manifests/{bill}")
    assert len((await registry.get(f"/v2/app/referrers/{subject}")).json()["manifests"]) == 1
    assert (await registry.get(f"/v2/app/referrers/{digest_of(b'nothing')}")).json()["manifests"] == []


async def test_an_index_is_kept_with_the_manifests_that_it_lists(registry: httpx.AsyncClient) -> None:
    child = await push_image(registry, "app", "amd64")
    size = int((await registry.head(f"/v2/app/manifests/{child}")).headers["content-length"])
    platform = {"architecture": "amd64", "os": "linux"}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{"mediaType": MANIFEST, "digest": child, "size": size, "platform": platform}],
    }
    answer = await registry.put("/v2/app/manifests/v1", content=json.dumps(index), headers={"Content-Type": INDEX})
    digest = answer.headers["docker-content-digest"]
    shown = (await registry.get(f"/acr/v1/app/_manifests/{digest}")).json()["manifest"]
    assert shown["references"] == [{"digest": child, **platform}]


async def test_a_layer_that_may_lie_elsewhere_need_not_be_pushed(registry: httpx.AsyncClient) -> None:
    config = await push_blob(registry, "app", b"{}")
    layer = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": digest_of(b"far"),
        "size": 3,
    }
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config, "size": 2},
        "layers": [layer],
    }
    answer = await registry.put("/v2/app/manifests/v1", content=json.dumps(body), headers={"Content-Type": MANIFEST})
    assert answer.status_code == 201
