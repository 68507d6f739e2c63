"""Imports: from public registries that the kit knows, from registries of the sandbox, and what keeps one from it."""

from __future__ import annotations

from typing import Any

import httpx

from azsandbox.host import PUBLIC_REGISTRIES
from azsandbox.registry import charts, upstream, upstream_app
from azsandbox.registry.names import is_digest
from tests.azsandbox.registry.conftest import INDEX, Azure, digest_of, push_image


async def import_image(azure: Azure, name: str, source: dict[str, Any], tags: list[str], **more: Any) -> httpx.Response:
    """Imports; returns what the Location answers at the end, or the refusal."""
    body = {"source": source, "targetTags": tags, **more}
    answer = await azure.arm("POST", f"{azure.id(name)}/importImage", body, who=more.pop("who", None))
    return await azure.done(answer) if answer.status_code == 202 else answer


def public(image: str) -> dict[str, str]:
    host, _, rest = image.partition("/")
    return {"registryUri": host, "sourceImage": rest}


async def test_a_public_image_keeps_its_digest(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    done = await import_image(azure, "labshop", public("docker.io/library/nginx:1.29.1"), ["web/nginx:1.29.1"])
    assert done.status_code == 200
    known = upstream.catalogue()["images"]["docker.io/library/nginx"]["1.29.1"]
    async with await azure.as_admin("labshop") as client:
        head = await client.head("/v2/web/nginx/manifests/1.29.1")
        assert head.headers["docker-content-digest"] == known["digest"]
        assert head.headers["content-type"] == INDEX == known["mediaType"]
        assert (await client.head(f"/v2/web/nginx/manifests/{known['digest']}")).status_code == 200
        content = await client.get("/v2/web/nginx/manifests/1.29.1")
        assert content.status_code == 501 and "docker.io/library/nginx:1.29.1" in content.json()["errors"][0]["message"]
        assert (await client.get("/acr/v1/web/nginx/_tags/1.29.1")).json()["tag"]["digest"] == known["digest"]


async def test_an_image_of_unknown_digest_comes_as_a_stand_in_that_says_so(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    await import_image(azure, "labshop", public("mcr.microsoft.com/azuredocs/aks-helloworld:v1"), ["hello:v1"])
    async with await azure.as_admin("labshop") as client:
        manifest = await client.get("/v2/hello/manifests/v1")
        assert digest_of(manifest.content) == manifest.headers["docker-content-digest"]
        assert manifest.json()["annotations"] == {upstream.STAND_IN: "mcr.microsoft.com/azuredocs/aks-helloworld:v1"}
        config = await client.get(f"/v2/hello/blobs/{manifest.json()['config']['digest']}")
        assert config.json()["config"]["Labels"] == manifest.json()["annotations"]


async def test_a_chart_is_imported_whole(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    await import_image(azure, "labshop", public("ghcr.io/kubereboot/charts/kured:5.11.0"), ["helm/kured:5.11.0"])
    archive = next(a for a in charts.archives("kured") if a.version == "5.11.0")
    async with await azure.as_admin("labshop") as client:
        manifest = (await client.get("/v2/helm/kured/manifests/5.11.0")).json()
        assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
        assert (await client.get(f"/v2/helm/kured/blobs/{manifest['layers'][0]['digest']}")).content == archive.content
    await azure.done(await azure.arm("DELETE", azure.id("labshop")))
    content = azure.host.registries.upstream.content("ghcr.io")
    assert content.blob(digest_of(archive.content)) == archive.content  # the upstream's own stays


async def test_short_names_and_other_names_of_docker_hub_mean_the_same(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    for at, source in enumerate(("docker.io/hello-world", "registry-1.docker.io/library/hello-world:latest")):
        assert (await import_image(azure, "labshop", public(source), [f"hello:{at}"])).status_code == 200
    async with await azure.as_admin("labshop") as client:
        heads = [await client.head(f"/v2/hello/manifests/{at}") for at in (0, 1)]
        assert len({h.headers["docker-content-digest"] for h in heads}) == 1


async def test_what_the_catalogue_does_not_have_is_refused_with_what_it_has(azure: Azure) -> None:
    await azure.create("labshop")
    tag = await import_image(azure, "labshop", public("ghcr.io/stefanprodan/podinfo:5.0.0"), ["a:1"])
    assert tag.status_code == 400 and tag.json()["error"]["code"] == "NotSupportedInSandbox"
    assert "6.7.1, 6.11.0, 6.15.0" in tag.json()["error"]["message"]
    host = await import_image(azure, "labshop", public("quay.io/jetstack/cert-manager-controller:v1"), ["a:1"])
    assert host.status_code == 501 and "quay.io" in host.json()["error"]["message"]


async def test_an_image_of_another_registry_is_copied_with_its_layers(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    await azure.create("labother", adminUserEnabled=True)
    async with await azure.as_admin("labshop") as shop, await azure.as_admin("labother") as other:
        digest = await push_image(shop, "app", "v1", "layer of the shop")
        source = {"resourceId": azure.id("labshop"), "sourceImage": f"app@{digest}"}
        done = await import_image(azure, "labother", source, ["team/app:prod"], untaggedTargetRepositories=["mirror"])
        assert done.status_code == 200
        assert (await other.get("/v2/team/app/manifests/prod")).headers["docker-content-digest"] == digest
        layer = digest_of(b"layer of the shop")
        assert (await other.get(f"/v2/mirror/blobs/{layer}")).content == b"layer of the shop"
        assert (await other.get("/v2/mirror/tags/list")).json()["tags"] == []
        await shop.delete(f"/v2/app/manifests/{digest}")
        assert (await other.get(f"/v2/team/app/blobs/{layer}")).status_code == 200
        missing = {"resourceId": azure.id("labshop"), "sourceImage": "app:v1"}
        gone = await import_image(azure, "labother", missing, ["app:v1"])
        assert gone.status_code == 400 and 'manifest tagged by \\"v1\\" is not found' in gone.json()["error"]["message"]


async def test_a_tag_is_moved_by_force_only(azure: Azure) -> None:
    await azure.create("labshop")
    await import_image(azure, "labshop", public("docker.io/library/busybox:1.36.1"), ["busybox:stable"])
    newer = public("docker.io/library/busybox:1.37.0")
    refused = await import_image(azure, "labshop", newer, ["busybox:stable"])
    assert refused.json()["error"]["code"] == "Conflict"
    assert (await import_image(azure, "labshop", newer, ["busybox:stable"], mode="Force")).status_code == 200
    registry = azure.host.registries.get("labshop")
    assert registry is not None
    tag = registry.content.tag("busybox", "stable")
    assert tag is not None and tag.digest.startswith("sha256:9db7b599")


async def test_one_must_be_allowed_to_pull_from_the_source(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    await azure.create("labother")
    async with await azure.as_admin("labshop") as shop:
        await push_image(shop, "app", "v1")
    importer = azure.identity()
    await azure.assign(importer, "Contributor", azure.id("labother"))
    body = {"source": {"resourceId": azure.id("labshop"), "sourceImage": "app:v1"}, "targetTags": ["app:v1"]}
    path = f"{azure.id('labother')}/importImage"
    refused = await azure.arm("POST", path, body, who=importer)
    assert refused.status_code == 403 and "registries/pull/read" in refused.json()["error"]["message"]
    await azure.assign(importer, "AcrPull", azure.id("labshop"))
    assert (await azure.arm("POST", path, body, who=importer)).status_code == 202
    credentials = (await azure.arm("POST", f"{azure.id('labshop')}/listCredentials")).json()
    source: dict[str, Any] = {"registryUri": "labshop.azurecr.io", "sourceImage": "app:v1"}
    assert (await import_image(azure, "labother", source, ["b:v1"])).json()["error"]["code"] == "InvalidParameters"
    source["credentials"] = {"username": "labshop", "password": credentials["passwords"][1]["value"]}
    assert (await import_image(azure, "labother", source, ["b:v1"])).status_code == 200


async def test_a_registry_without_exports_is_no_source(azure: Azure) -> None:
    closed = {"publicNetworkAccess": "Disabled", "policies": {"exportPolicy": {"status": "disabled"}}}
    await azure.create("labshop", **closed)
    await azure.create("labother")
    source = {"resourceId": azure.id("labshop"), "sourceImage": "app:v1"}
    assert (await import_image(azure, "labother", source, ["a:1"])).json()["error"]["code"] == "ExportPolicyDisabled"


async def test_public_registries_are_read_by_everybody_and_written_by_nobody(azure: Azure) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(azure.host.dispatch)) as client:
        assert (await client.get("https://registry-1.docker.io/v2/")).status_code == 200
        tags = await client.get("https://registry-1.docker.io/v2/library/busybox/tags/list")
        assert tags.json() == {"name": "library/busybox", "tags": ["1.36.1", "1.37.0"]}
        page = await client.get("https://ghcr.io/v2/stefanprodan/podinfo/tags/list?n=1")
        assert page.json()["tags"] == ["6.11.0"] and 'rel="next"' in page.headers["link"]
        head = await client.head("https://registry.k8s.io/v2/pause/manifests/3.10")
        assert head.headers["docker-content-digest"].startswith("sha256:ee6521f2")
        assert (await client.get("https://ghcr.io/v2/nobody/nothing/tags/list")).status_code == 404
        assert (await client.post("https://ghcr.io/v2/a/b/blobs/uploads/")).status_code == 405


def test_the_table_of_hosts_has_every_public_registry_and_chart_repository() -> None:
    assert sorted(PUBLIC_REGISTRIES) == sorted([*upstream.hosts(), *upstream_app.chart_hosts()])


def test_digests_in_the_catalogue_are_digests() -> None:
    images = [image for tags in upstream.catalogue()["images"].values() for image in tags.values() if image]
    assert images and all(is_digest(image["digest"]) and image["mediaType"] for image in images)
    hosts = {name.partition("/")[0] for name in upstream.catalogue()["images"]}
    assert hosts <= set(upstream.catalogue()["names"])
