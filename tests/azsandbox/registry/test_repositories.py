"""Azure's own API: repositories, tags and manifests with their attributes and locks."""

from __future__ import annotations

import httpx

from azsandbox.registry.errors import DISALLOWED
from tests.azsandbox.registry.conftest import MANIFEST, Azure, push_image

OPEN = {"deleteEnabled": True, "writeEnabled": True, "readEnabled": True, "listEnabled": True}


async def test_a_repository_shows_what_it_holds(registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "team/app", "v1", "one")
    await push_image(registry, "team/app", "v2", "two")
    shown = (await registry.get("/acr/v1/team%2Fapp")).json()
    assert shown["registry"] == "labshop.azurecr.io" and shown["imageName"] == "team/app"
    assert (shown["manifestCount"], shown["tagCount"]) == (2, 2) and shown["changeableAttributes"] == OPEN
    tag = (await registry.get("/acr/v1/team/app/_tags/v1")).json()["tag"]
    assert tag["name"] == "v1" and tag["digest"] == digest and tag["signed"] is False
    manifest = (await registry.get(f"/acr/v1/team/app/_manifests/{digest}")).json()["manifest"]
    assert (manifest["architecture"], manifest["os"], manifest["mediaType"]) == ("amd64", "linux", MANIFEST)
    assert manifest["tags"] == ["v1"] and manifest["changeableAttributes"] == {**OPEN, "quarantineState": "Passed"}
    assert manifest["imageSize"] == sum(
        len(t) for t in ('{"architecture": "amd64", "os": "linux", "text": "one"}', "one")
    )


async def test_lists_are_ordered_by_time_where_one_asks(registry: httpx.AsyncClient) -> None:
    for tag in ("b", "c", "a"):
        await push_image(registry, "app", tag, tag)

    async def names(order: str) -> list[str]:
        found = (await registry.get("/acr/v1/app/_tags", params={"orderby": order})).json()["tags"]
        return [tag["name"] for tag in found]

    assert await names("") == ["a", "b", "c"]
    assert await names("timeasc") == ["b", "c", "a"]
    assert await names("timedesc") == ["a", "c", "b"]
    page = await registry.get("/acr/v1/app/_tags?n=2&orderby=timedesc")
    following = await registry.get(page.headers["link"].partition("<")[2].partition(">")[0])
    assert [t["name"] for t in following.json()["tags"]] == ["b"]


async def test_a_lock_keeps_from_deleting_and_from_pushing(registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "app", "v1")
    locked = await registry.patch("/acr/v1/app/_tags/v1", json={"deleteEnabled": False, "writeEnabled": False})
    assert locked.json()["tag"]["changeableAttributes"] == {**OPEN, "deleteEnabled": False, "writeEnabled": False}
    for method, path in (
        ("DELETE", "/acr/v1/app/_tags/v1"),
        ("DELETE", f"/v2/app/manifests/{digest}"),
        ("DELETE", "/acr/v1/app"),
    ):
        refused = await registry.request(method, path)
        assert refused.status_code == 405 and refused.json()["errors"][0]["message"] == DISALLOWED
    content = (await registry.get("/v2/app/manifests/v1")).content
    pushed = await registry.put("/v2/app/manifests/v1", content=content, headers={"Content-Type": MANIFEST})
    assert pushed.status_code == 405
    await registry.patch("/acr/v1/app", json={"writeEnabled": False})
    assert (await registry.post("/v2/app/blobs/uploads/")).status_code == 405


async def test_a_repository_that_is_not_listed_or_not_read_is_not(registry: httpx.AsyncClient) -> None:
    await push_image(registry, "app", "v1")
    await registry.patch("/acr/v1/app", json={"listEnabled": False, "readEnabled": False})
    assert (await registry.get("/v2/_catalog")).json() == {"repositories": []}
    assert (await registry.get("/v2/app/manifests/v1")).status_code == 405


async def test_deleting_a_repository_says_what_went_with_it(azure: Azure, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "app", "v1")
    gone = await registry.delete("/acr/v1/app")
    assert gone.status_code == 202 and gone.json() == {"manifestsDeleted": [digest], "tagsDeleted": ["v1"]}
    assert set(azure.host.registries.contents.blobs.all()) == set()
    again = await registry.delete("/acr/v1/app")
    assert again.status_code == 404 and again.json()["errors"] == [
        {"code": "NAME_UNKNOWN", "message": "repository name not known to registry", "detail": {"name": "app"}}
    ]
    for path in ("app", "app/_tags", "app/_manifests"):
        shown = await registry.get(f"/acr/v1/{path}")
        assert (shown.status_code, shown.json()["errors"][0]["message"]) == (404, 'repository "app" is not found')


async def test_what_azure_has_and_the_sandbox_has_not_is_refused_by_name(registry: httpx.AsyncClient) -> None:
    deleted = await registry.get("/acr/v1/_deleted/_catalog")
    assert deleted.status_code == 501 and "NotSupportedInSandbox" in deleted.json()["errors"][0]["message"]
    await push_image(registry, "app", "v1")
    streamed = await registry.patch("/acr/v1/app", json={"teleportEnabled": True})
    assert streamed.status_code == 501 and "teleportEnabled" in streamed.json()["errors"][0]["message"]
