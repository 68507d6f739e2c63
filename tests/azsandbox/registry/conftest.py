"""A sandbox with a registry in it, asked without a network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.host import Host

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
RUNNING = ("Creating", "Updating", "Deleting", "InProgress")
ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "AcrDelete": "c2f4ef07-c644-48eb-af81-4b1b4947fb11",
    "AcrImageSigner": "6cef56e8-d556-48e5-a04f-b8e64114680f",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Container Registry Repository Reader": "b93aa761-3e63-49ed-ac28-beffa264f7ac",
    "Container Registry Repository Catalog Lister": "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7",
}


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Azure:
    """The sandbox's Resource Manager and its registries, as somebody in the directory."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.group = f"/subscriptions/{host.subscription_id}/resourceGroups/rg-acr"

    async def arm(
        self, method: str, path: str, body: Any = None, *, who: str | None = None, version: str = "2023-07-01"
    ) -> httpx.Response:
        token = self.host.entra.issue(who or self.host.owner_ids[0], "https://management.azure.com")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.host.dispatch)) as client:
            return await client.request(
                method,
                f"https://management.azure.com{path}",
                params={"api-version": version},
                json=body,
                headers={"Authorization": f"Bearer {token}"},
            )

    async def create(self, name: str, sku: str = "Premium", **properties: Any) -> dict[str, Any]:
        """Makes a registry (or changes it); returns its resource."""
        await self.arm("PUT", self.group, {"location": "westeurope"}, version="2024-11-01")
        body = {"location": "westeurope", "sku": {"name": sku}, "properties": properties}
        answer = await self.arm("PUT", self.id(name), body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def done(self, answer: httpx.Response) -> httpx.Response:
        """The result of the operation that an answer names."""
        url = answer.headers.get("azure-asyncoperation") or answer.headers["location"]
        for _ in range(400):
            found = await self.arm("GET", url.partition("management.azure.com")[2].partition("?")[0])
            if found.status_code != 202 and (not found.content or found.json().get("status", "") not in RUNNING):
                return found
            await asyncio.sleep(0.02)
        raise TimeoutError(url)

    def id(self, name: str) -> str:
        return f"{self.group}/providers/Microsoft.ContainerRegistry/registries/{name}"

    def identity(self, name: str = "ci") -> str:
        """A new service principal; returns its object id."""
        found: str = self.host.entra.directory.create_service_principal(name).object_id
        return found

    async def assign(self, principal: str, role: str, scope: str, **more: str) -> None:
        definition = f"/subscriptions/{self.host.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}"
        body = {
            "properties": {
                "roleDefinitionId": definition,
                "principalId": principal,
                "principalType": "ServicePrincipal",
                **more,
            }
        }
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        answer = await self.arm("PUT", path, body, version="2022-04-01")
        assert answer.status_code == 201, answer.text

    def client(self, name: str, host: str | None = None) -> httpx.AsyncClient:
        """Requests to a registry, without credentials."""
        transport = httpx.ASGITransport(self.host.dispatch)
        return httpx.AsyncClient(transport=transport, base_url=f"https://{host or name + '.azurecr.io'}")

    async def as_admin(self, name: str) -> httpx.AsyncClient:
        """Requests to a registry by its admin user, with Basic credentials."""
        answer = await self.arm("POST", f"{self.id(name)}/listCredentials")
        found = answer.json()
        client = self.client(name)
        client.auth = httpx.BasicAuth(found["username"], found["passwords"][0]["value"])
        return client

    async def refresh_token(
        self, name: str, principal: str, audience: str = "https://containerregistry.azure.net"
    ) -> httpx.Response:
        """What /oauth2/exchange answers to a token of the principal."""
        form = {
            "grant_type": "access_token",
            "service": f"{name}.azurecr.io",
            "access_token": self.host.entra.issue(principal, audience),
        }
        async with self.client(name) as client:
            return await client.post("/oauth2/exchange", data=form)

    async def access(self, name: str, principal: str, *scopes: str) -> tuple[int, dict[str, Any]]:
        """Status and claims of the access token that the principal gets for these scopes."""
        exchanged = await self.refresh_token(name, principal)
        if exchanged.status_code != 200:
            return exchanged.status_code, {}
        form = {
            "grant_type": "refresh_token",
            "service": f"{name}.azurecr.io",
            "scope": list(scopes),
            "refresh_token": exchanged.json()["refresh_token"],
        }
        async with self.client(name) as client:
            answer = await client.post("/oauth2/token", data=form)
        return answer.status_code, claims(answer.json().get("access_token", ""))


def claims(token: str) -> dict[str, Any]:
    if not token:
        return {}
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def push_blob(client: httpx.AsyncClient, repository: str, content: bytes) -> str:
    digest = digest_of(content)
    begun = await client.post(f"/v2/{repository}/blobs/uploads/")
    assert begun.status_code == 202, begun.text
    done = await client.put(begun.headers["location"], params={"digest": digest}, content=content)
    assert done.status_code == 201, done.text
    return digest


async def push_image(client: httpx.AsyncClient, repository: str, tag: str, text: str = "layer", **more: Any) -> str:
    """Pushes an image with one layer; returns its digest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "text": text}).encode()
    layer = text.encode()
    for blob in (config, layer):
        await push_blob(client, repository, blob)
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
        **more,
    }
    content = json.dumps(body).encode()
    answer = await client.put(f"/v2/{repository}/manifests/{tag}", content=content, headers={"Content-Type": MANIFEST})
    assert answer.status_code == 201, answer.text
    return answer.headers["docker-content-digest"]


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sandbox that was up once: making keys and certificates takes most of a start."""
    home = tmp_path_factory.mktemp("made") / "home"

    async def once() -> None:
        host = Host(home)
        await host.start()
        host.authority.context("labshop.azurecr.io")
        await host.stop()

    asyncio.run(once())
    return home


@pytest.fixture
def home(made_home: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made_home, tmp_path / "home"))


@pytest.fixture
async def azure(home: Path) -> AsyncIterator[Azure]:
    host = Host(home)
    await host.start()
    yield Azure(host)
    await host.stop()


@pytest.fixture
async def registry(azure: Azure) -> AsyncIterator[httpx.AsyncClient]:
    """The registry `labshop`, asked by its admin user."""
    await azure.create("labshop", adminUserEnabled=True)
    async with await azure.as_admin("labshop") as client:
        yield client
