"""A sandbox with a managed cluster and a workspace, asked without a network."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from azsandbox.cluster import Cluster
from azsandbox.controllers.client import KubeClient
from azsandbox.host import Host
from azsandbox.kubernetes.request import Request
from tests.azsandbox.registry.conftest import made_home

__all__ = ["made_home"]

CLUSTER = "Microsoft.ContainerService/managedClusters/shop"
WORKSPACE = "Microsoft.OperationalInsights/workspaces/logs-audit"


class Lab:
    """The sandbox's Resource Manager, one cluster and its workspace."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.group = f"/subscriptions/{host.subscription_id}/resourceGroups/rg-shop"
        self.cluster_id = f"{self.group}/providers/{CLUSTER}"
        self.workspace_id = f"{self.group}/providers/{WORKSPACE}"
        self.customer_id = ""

    async def arm(self, method: str, path: str, body: Any = None, version: str = "2024-11-01") -> httpx.Response:
        token = self.host.entra.issue(self.host.owner_ids[0], "https://management.azure.com")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.host.dispatch)) as client:
            return await client.request(
                method,
                f"https://management.azure.com{path}",
                params={"api-version": version},
                json=body,
                headers={"Authorization": f"Bearer {token}"},
            )

    async def make(self) -> None:
        await self.arm("PUT", self.group, {"location": "westeurope"})
        body: dict[str, Any] = {"location": "westeurope", "properties": {"sku": {"name": "PerGB2018"}}}
        made = await self.arm("PUT", self.workspace_id, body, "2023-09-01")
        self.customer_id = made.json()["properties"]["customerId"]
        pool = {"name": "system", "count": 1, "mode": "System", "vmSize": "Standard_D4ds_v5"}
        body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
        body["properties"] = {
            "dnsPrefix": "shop",
            "agentPoolProfiles": [pool],
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
        }
        answer = await self.arm("PUT", self.cluster_id, body, "2025-05-01")
        assert answer.status_code == 201, answer.text
        await self.until(lambda: self._state() == "Succeeded")

    def _state(self) -> str | None:
        stored = self.host.arm.resources.get(self.cluster_id)
        return stored.state if stored else None

    async def listen(self, *categories: str, metrics: bool = False, dedicated: bool = True) -> None:
        """A diagnostic setting with these categories."""
        properties: dict[str, Any] = {
            "workspaceId": self.workspace_id,
            "logs": [{"category": c, "enabled": True} for c in categories],
            "metrics": [{"category": "AllMetrics", "enabled": metrics}],
            "logAnalyticsDestinationType": "Dedicated" if dedicated else None,
        }
        answer = await self.arm("PUT", self.setting, {"properties": properties}, "2021-05-01-preview")
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(0.05)  # what follows settings has its turn

    @property
    def setting(self) -> str:
        return f"{self.cluster_id}/providers/Microsoft.Insights/diagnosticSettings/all"

    @property
    def cluster(self) -> Cluster:
        (found,) = self.host.clusters.running()
        return found

    @property
    def kubernetes(self) -> KubeClient:
        return self.cluster.client

    async def request(self, method: str, url: str, body: Any = None, token: str = "", **headers: str) -> int:
        """A request as from the network: with an address and a token; returns the status."""
        sent = {"authorization": f"Bearer {token or self.cluster.admin_token}", "user-agent": "kubectl/v1.35.4"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = b""
        if body is not None:
            data = orjson.dumps(body)
            sent["content-type"] = "application/json"
        request = Request.to(method, url, data, sent)
        request.client = "127.0.0.1"
        return (await self.cluster.server.handle(request)).status

    def rows(self, table: str) -> list[dict[str, Any]]:
        ingestion = self.host.arm.provider("Microsoft.OperationalInsights").ingestion(self.host.arm)
        return [orjson.loads(row) for row in ingestion.rows.read(self.customer_id, table)]

    async def arrived(self, table: str, wanted: Any, seconds: float = 15) -> dict[str, Any]:
        """The first row that `wanted` is true of; waits for it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [row for row in self.rows(table) if wanted(row)]
            return bool(found)

        await self.until(there, seconds)
        return found[0]

    async def until(self, holds: Any, seconds: float = 60) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            assert asyncio.get_running_loop().time() < deadline, "it does not come to be"
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(made_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """One for all tests of a module, as a cluster takes a while; each has its own setting and its own objects."""
    host = Host(Path(shutil.copytree(made_home, tmp_path_factory.mktemp("logs") / "home")))
    await host.start()
    found = Lab(host)
    await found.make()
    yield found
    await found.host.stop()


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"password": "hidden"}}


MAPS = "/api/v1/namespaces/default/configmaps"
