"""Whether nodes of a managed cluster get the images of a registry, and what their kubelets say if not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from azsandbox.aks.registry_images import RegistryImages
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.kubelet.images import Credential, Image, Puller, PullFailed, error_text
from tests.azsandbox.registry.conftest import INDEX, MANIFEST, Azure, digest_of, push_blob, push_image

IMAGE = "labshop.azurecr.io/labs/app:1"
TOKEN = "https://labshop.azurecr.io/oauth2/token?scope=repository%3Alabs%2Fapp%3Apull&service=labshop.azurecr.io"
FAILED = f'failed to pull and unpack image "{IMAGE}": failed to resolve image: '
REFUSED = "failed to authorize: failed to fetch {} token: unexpected status from GET request to " + TOKEN + ": {}"
ANONYMOUS = FAILED + REFUSED.format("anonymous", "401 Unauthorized")
PODS = path("v1", "pods", "default")


class Nodes:
    """The nodes of a cluster whose kubelets have an identity of their own."""

    def __init__(self, azure: Azure) -> None:
        self.azure, self.identity = azure, azure.identity("kubelet")
        id_ = f"{azure.group}/providers/Microsoft.ContainerService/managedClusters/shop"
        profile = {"kubeletidentity": {"objectId": self.identity}}
        body = {"properties": {"nodeResourceGroup": "rg-nodes", "resourceUID": "1", "identityProfile": profile}}
        azure.host.arm.resources.put(Stored(id_, "Microsoft.ContainerService/managedClusters", body))
        self.images = RegistryImages(azure.host.arm, id_)

    async def pull(self, image: str, *credentials: Credential, architecture: str = "amd64") -> Image:
        node = {"status": {"nodeInfo": {"operatingSystem": "linux", "architecture": architecture}}}
        return await self.images.pull(image, Puller({}, node, credentials))

    async def refusal(self, image: str, *credentials: Credential, architecture: str = "amd64") -> str:
        with pytest.raises(PullFailed) as failed:
            await self.pull(image, *credentials, architecture=architecture)
        return error_text(failed.value)

    async def allow(self, role: str) -> None:
        await self.azure.assign(self.identity, role, self.azure.id("labshop"))


@pytest.fixture
async def nodes(azure: Azure, registry: httpx.AsyncClient) -> Nodes:
    return Nodes(azure)


async def test_a_kubelet_without_rights_asks_as_nobody(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    await push_image(registry, "labs/app", "1")
    assert await nodes.refusal(IMAGE) == ANONYMOUS


@pytest.mark.parametrize("role", ["AcrPull", "AcrPush", "Reader"])
async def test_roles_with_pull_let_a_kubelet_pull(nodes: Nodes, registry: httpx.AsyncClient, role: str) -> None:
    digest = await push_image(registry, "labs/app", "1", "some layer")
    await nodes.allow(role)
    found = await nodes.pull(IMAGE)
    assert found.id == f"labshop.azurecr.io/labs/app@{digest}"
    assert found.size == len("some layer") + len('{"architecture": "amd64", "os": "linux", "text": "some layer"}')
    assert (await nodes.pull(f"labshop.azurecr.io/labs/app@{digest}")).digest == digest


async def test_what_the_registry_has_not_is_not_found(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    await nodes.allow("AcrPull")
    missing = f"rpc error: code = NotFound desc = {FAILED}{IMAGE}: not found"
    assert await nodes.refusal(IMAGE) == f"[{missing}, {ANONYMOUS}]"


async def test_a_role_that_may_not_pull_gets_no_token_for_it(nodes: Nodes) -> None:
    await nodes.allow("AcrDelete")
    refused = FAILED + REFUSED.format("oauth", "401 Unauthorized")
    assert await nodes.refusal(IMAGE) == f"[{refused}, {ANONYMOUS}]"


async def test_anonymous_pull_needs_no_rights(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    await push_image(registry, "labs/app", "1")
    await nodes.azure.create("labshop", adminUserEnabled=True, anonymousPullEnabled=True)
    assert (await nodes.pull(IMAGE)).name == IMAGE
    text = await nodes.refusal("labshop.azurecr.io/labs/app:2")
    assert text.startswith("rpc error: code = NotFound desc = ")


async def test_a_pull_secret_counts_before_the_kubelets_identity(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    await push_image(registry, "labs/app", "1")
    passwords = (await nodes.azure.arm("POST", f"{nodes.azure.id('labshop')}/listCredentials")).json()["passwords"]
    right = Credential("labshop.azurecr.io", "labshop", passwords[1]["value"])
    assert (await nodes.pull(IMAGE, right)).name == IMAGE
    wrong, other = Credential("labshop.azurecr.io", "labshop", "no"), Credential("other.azurecr.io", "labshop", "no")
    assert await nodes.refusal(IMAGE, wrong) == FAILED + REFUSED.format("oauth", "401 Unauthorized")
    assert await nodes.refusal(IMAGE, other) == ANONYMOUS
    await nodes.allow("AcrPull")
    assert (await nodes.pull(IMAGE, wrong)).name == IMAGE


async def test_a_registry_that_is_not_there_does_not_resolve(nodes: Nodes) -> None:
    text = await nodes.refusal("nobody.azurecr.io/labs/app:1")
    head = 'failed to do request: Head "https://nobody.azurecr.io/v2/labs/app/manifests/1"'
    assert text.endswith(f"{head}: dial tcp: lookup nobody.azurecr.io on 168.63.129.16:53: no such host")


async def test_a_registry_without_public_access_refuses_nodes(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    await push_image(registry, "labs/app", "1")
    await nodes.allow("AcrPull")
    await nodes.azure.create("labshop", publicNetworkAccess="Disabled")
    assert await nodes.refusal(IMAGE) == FAILED + REFUSED.format("anonymous", "403 Forbidden")


async def test_an_index_is_pulled_for_the_nodes_platform(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "labs/app", "amd64")
    size = int(
        (await registry.head("/v2/labs/app/manifests/amd64", headers={"Accept": MANIFEST})).headers["content-length"]
    )
    platform = {"os": "linux", "architecture": "amd64"}
    child = {"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform}
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
    await registry.put("/v2/labs/app/manifests/1", content=content, headers={"Content-Type": INDEX})
    await nodes.allow("AcrPull")
    assert (await nodes.pull(IMAGE)).digest == digest_of(content)
    text = await nodes.refusal(IMAGE, architecture="arm64")
    none = f'failed to pull and unpack image "{IMAGE}": no match for platform in manifest: not found'
    assert text == f"rpc error: code = NotFound desc = {none}"


@pytest.mark.parametrize("source", ["docker.io/library/nginx:1.29.1", "mcr.microsoft.com/azuredocs/aks-helloworld:v1"])
async def test_an_imported_public_image_is_pulled(nodes: Nodes, source: str) -> None:
    host, _, name = source.partition("/")
    body = {"source": {"registryUri": host, "sourceImage": name}, "targetTags": ["labs/app:1"], "mode": "Force"}
    answer = await nodes.azure.arm("POST", f"{nodes.azure.id('labshop')}/importImage", body)
    assert (await nodes.azure.done(answer)).status_code == 200
    await nodes.allow("AcrPull")
    assert (await nodes.pull(IMAGE)).size > 0


async def test_a_chart_is_no_image(nodes: Nodes, registry: httpx.AsyncClient) -> None:
    config, layer = b'{"name": "shop"}', b"a chart"
    for blob in (config, layer):
        await push_blob(registry, "labs/app", blob)
    kind = "application/vnd.cncf.helm.c{}"
    body = {
        "schemaVersion": 2,
        "config": {"mediaType": kind.format("onfig.v1+json"), "digest": digest_of(config), "size": len(config)},
        "layers": [
            {"mediaType": kind.format("hart.content.v1.tar+gzip"), "digest": digest_of(layer), "size": len(layer)}
        ],
    }
    await registry.put("/v2/labs/app/manifests/1", json=body, headers={"Content-Type": MANIFEST})
    await nodes.allow("AcrPull")
    assert "mismatched image rootfs and manifest layers" in await nodes.refusal(IMAGE)


async def test_other_registries_are_not_asked(nodes: Nodes) -> None:
    assert (await nodes.pull("mcr.microsoft.com/x:1")).name == "mcr.microsoft.com/x:1"


async def test_attaching_a_registry_lets_a_waiting_pod_run(azure: Azure, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, "labs/app", "1")
    pool = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5"}
    body = {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {"dnsPrefix": "shop", "agentPoolProfiles": [pool]},
    }
    id_ = f"{azure.group}/providers/Microsoft.ContainerService/managedClusters/shop"
    answer = await azure.arm("PUT", id_, body, version="2025-05-01")
    assert answer.status_code == 201, answer.text
    await azure.done(answer)
    cluster = (await azure.arm("GET", id_, version="2025-05-01")).json()
    kube = next(iter(azure.host.clusters._running.values())).client
    container = {"name": "app", "image": IMAGE}
    pod = {"metadata": {"name": "app"}, "spec": {"imagePullSecrets": [{"name": "none"}], "containers": [container]}}
    await kube.create(PODS, {"apiVersion": "v1", "kind": "Pod", **pod})
    status = await until(kube, "app", lambda s: s["state"].get("waiting", {}).get("reason") == "ImagePullBackOff")
    text = f'Back-off pulling image "{IMAGE}": ErrImagePull: {ANONYMOUS}'
    assert status["state"]["waiting"]["message"] == text
    events = await kube.list(path("v1", "events", "default"))
    told = {event["reason"]: event["message"] for event in events if event["involvedObject"]["name"] == "app"}
    assert told["FailedToRetrieveImagePullSecret"].startswith("Unable to retrieve some image pull secrets (none);")
    kubelet = cluster["properties"]["identityProfile"]["kubeletidentity"]["objectId"]
    await azure.assign(kubelet, "AcrPull", azure.id("labshop"))
    status = await until(kube, "app", lambda status: "running" in status["state"])
    assert status["imageID"] == f"labshop.azurecr.io/labs/app@{digest}"


async def until(kube: KubeClient, pod: str, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status of a pod's container once it passes the test."""
    async with asyncio.timeout(90):
        while True:
            found = await kube.get(f"{PODS}/{pod}")
            statuses = (found.get("status") or {}).get("containerStatuses") or []
            if statuses and test(statuses[0]):
                return dict(statuses[0])
            await asyncio.sleep(0.05)
