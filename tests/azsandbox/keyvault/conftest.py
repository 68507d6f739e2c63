"""A sandbox with a key vault in it, asked without a network."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.clock import Clock
from azsandbox.host import Host
from tests.azsandbox.registry.conftest import made_home

__all__ = ["made_home"]

ROLES = {
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Key Vault Reader": "21090545-7ca7-4776-b22c-e363652d74d2",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
}


class Azure:
    """The sandbox's Resource Manager and its vaults, as somebody in the directory."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.group = f"/subscriptions/{host.subscription_id}/resourceGroups/rg-kv"
        self.version = "2024-11-01"

    async def arm(self, method: str, path: str, body: Any = None, *, version: str = "") -> httpx.Response:
        token = self.host.entra.issue(self.host.owner_ids[0], "https://management.azure.com")
        return await self._send(method, f"https://management.azure.com{path}", body, token, version or self.version)

    async def data(
        self, method: str, url: str, body: Any = None, *, who: str = "", version: str = "7.4", token: str | None = None
    ) -> httpx.Response:
        """A request to a vault; `url` begins with its name."""
        if token is None:
            token = self.host.entra.issue(who or self.host.owner_ids[0], "https://vault.azure.net")
        name, _, path = url.partition("/")
        return await self._send(method, f"https://{name}.vault.azure.net/{path}", body, token, version)

    async def _send(self, method: str, url: str, body: Any, token: str, version: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.host.dispatch)) as client:
            return await client.request(method, url, params={"api-version": version}, json=body, headers=headers)

    def id(self, name: str) -> str:
        return f"{self.group}/providers/Microsoft.KeyVault/vaults/{name}"

    async def put(self, name: str, **properties: Any) -> httpx.Response:
        """Writes a vault."""
        await self.arm("PUT", self.group, {"location": "westeurope"}, version="2024-11-01")
        known = {"tenantId": self.host.tenant_id, "sku": {"family": "A", "name": "standard"}}
        return await self.arm("PUT", self.id(name), {"location": "westeurope", "properties": known | properties})

    async def vault(self, name: str, **properties: Any) -> dict[str, Any]:
        """A vault that the learner may do everything in, by an access policy unless it uses roles."""
        if not properties.get("enableRbacAuthorization"):
            properties = {"accessPolicies": [self.policy(self.host.owner_ids[0], "all", "purge")], **properties}
        answer = await self.put(name, **properties)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def policy(self, object_id: str, *secrets: str) -> dict[str, Any]:
        return {"tenantId": self.host.tenant_id, "objectId": object_id, "permissions": {"secrets": list(secrets)}}

    def identity(self, name: str = "app") -> str:
        """A new service principal; returns its object id."""
        found: str = self.host.entra.directory.create_service_principal(name).object_id
        return found

    async def assign(self, principal: str, role: str, scope: str) -> None:
        """Gives a role, and lets the time pass that it takes to arrive."""
        definition = f"/subscriptions/{self.host.subscription_id}/providers/Microsoft.Authorization/roleDefinitions"
        kind = "User" if principal in self.host.owner_ids else "ServicePrincipal"
        properties = {
            "roleDefinitionId": f"{definition}/{ROLES[role]}",
            "principalId": principal,
            "principalType": kind,
        }
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        answer = await self.arm("PUT", path, {"properties": properties}, version="2022-04-01")
        assert answer.status_code == 201, answer.text


@pytest.fixture
async def azure(made_home: Path, tmp_path: Path) -> AsyncIterator[Azure]:
    import shutil

    host = Host(Path(shutil.copytree(made_home, tmp_path / "home")), "stepped")
    await host.start()
    try:
        yield Azure(host)
    finally:
        await host.stop()


@pytest.fixture
def clock(azure: Azure) -> Clock:
    return azure.host.clock
