"""Blobs: uploads of every form, what is refused, ranges, and whose files they are."""

from __future__ import annotations

import httpx

from tests.azsandbox.registry.conftest import Azure, digest_of, push_blob, push_image


def files(azure: Azure) -> set[str]:
    return set(azure.host.registries.contents.blobs.all())


async def test_a_blob_in_one_request_and_in_chunks_is_the_same_blob(registry: httpx.AsyncClient) -> None:
    content = bytes(range(256)) * 3000
    digest = digest_of(content)
    whole = await registry.post("/v2/one/blobs/uploads/", params={"digest": digest}, content=content)
    assert whole.status_code == 201 and whole.headers["location"] == f"/v2/one/blobs/{digest}"
    begun = await registry.post("/v2/two/blobs/uploads/")
    location, at = begun.headers["location"], 0
    for size in (100_000, 300_000, len(content)):
        chunk = content[at : at + size]
        headers = {"Content-Range": f"{at}-{at + len(chunk) - 1}"}
        answer = await registry.patch(location, content=chunk, headers=headers)
        at += len(chunk)
        assert answer.status_code == 202 and answer.headers["range"] == f"0-{at - 1}"
        location = answer.headers["location"]
    done = await registry.put(location, params={"digest": digest})
    assert done.status_code == 201 and done.headers["docker-content-digest"] == digest
    for repository in ("one", "two"):
        assert (await registry.get(f"/v2/{repository}/blobs/{digest}")).content == content


async def test_a_chunk_out_of_order_is_refused_and_the_upload_goes_on(registry: httpx.AsyncClient) -> None:
    location = (await registry.post("/v2/app/blobs/uploads/")).headers["location"]
    await registry.patch(location, content=b"0123", headers={"Content-Range": "0-3"})
    wrong = await registry.patch(location, content=b"89", headers={"Content-Range": "8-9"})
    assert wrong.status_code == 416 and wrong.json()["errors"][0]["code"] == "RANGE_INVALID"
    status = await registry.get(location)
    assert status.status_code == 204 and status.headers["range"] == "0-3"
    assert (await registry.put(location, params={"digest": digest_of(b"012345")}, content=b"45")).status_code == 201


async def test_content_with_another_digest_is_refused_and_leaves_nothing(
    azure: Azure, registry: httpx.AsyncClient
) -> None:
    location = (await registry.post("/v2/app/blobs/uploads/")).headers["location"]
    answer = await registry.put(location, params={"digest": digest_of(b"other")}, content=b"this")
    assert answer.status_code == 400 and answer.json()["errors"][0]["code"] == "DIGEST_INVALID"
    assert files(azure) == set() and azure.host.registries.contents.blobs.all_uploads() == []
    assert (await registry.get(location)).json()["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"


async def test_a_cancelled_upload_is_gone(azure: Azure, registry: httpx.AsyncClient) -> None:
    location = (await registry.post("/v2/app/blobs/uploads/")).headers["location"]
    await registry.patch(location, content=b"half")
    assert (await registry.delete(location)).status_code == 204
    assert (await registry.patch(location, content=b"rest")).status_code == 404
    assert azure.host.registries.contents.blobs.all_uploads() == []


async def test_a_range_of_a_blob_comes_alone(registry: httpx.AsyncClient) -> None:
    digest = await push_blob(registry, "app", b"0123456789")
    part = await registry.get(f"/v2/app/blobs/{digest}", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"2345", "bytes 2-5/10")
    tail = await registry.get(f"/v2/app/blobs/{digest}", headers={"Range": "bytes=-3"})
    assert tail.content == b"789"
    beyond = await registry.get(f"/v2/app/blobs/{digest}", headers={"Range": "bytes=10-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == "bytes */10"
    head = await registry.head(f"/v2/app/blobs/{digest}")
    assert head.headers["content-length"] == "10" and head.content == b""


async def test_a_blob_is_mounted_from_another_repository_without_being_sent(registry: httpx.AsyncClient) -> None:
    digest = await push_blob(registry, "base", b"shared")
    mounted = await registry.post("/v2/app/blobs/uploads/", params={"mount": digest, "from": "base"})
    assert mounted.status_code == 201 and mounted.headers["location"] == f"/v2/app/blobs/{digest}"
    unknown = await registry.post("/v2/app/blobs/uploads/", params={"mount": digest_of(b"never"), "from": "base"})
    assert unknown.status_code == 202  # an upload to be filled, as the specification wants it


async def test_a_file_stays_while_any_repository_has_the_blob(azure: Azure, registry: httpx.AsyncClient) -> None:
    digest = await push_blob(registry, "one", b"shared")
    await push_blob(registry, "two", b"shared")
    assert (await registry.delete(f"/v2/one/blobs/{digest}")).status_code == 202
    assert (await registry.get(f"/v2/one/blobs/{digest}")).json()["errors"][0]["code"] == "BLOB_UNKNOWN"
    assert (await registry.get(f"/v2/two/blobs/{digest}")).content == b"shared"
    await registry.delete(f"/v2/two/blobs/{digest}")
    assert files(azure) == set()


async def test_deleting_a_registry_removes_what_no_other_uses(azure: Azure, registry: httpx.AsyncClient) -> None:
    await azure.create("labother", adminUserEnabled=True)
    async with await azure.as_admin("labother") as other:
        await push_blob(other, "app", b"shared")
    await push_image(registry, "app", "v1", "mine")
    shared = await push_blob(registry, "app", b"shared")
    deleted = await azure.arm("DELETE", azure.id("labshop"))
    await azure.done(deleted)
    assert files(azure) == {shared}
    await azure.create("labshop", adminUserEnabled=True)
    async with await azure.as_admin("labshop") as again:
        assert (await again.get("/v2/_catalog")).json() == {"repositories": []}
