"""A sandbox with a workspace that has rows, asked without a network."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.host import Host
from azsandbox.loganalytics.rows import stamp
from tests.azsandbox.registry.conftest import ROLES, home, made_home

__all__ = ["home", "made_home"]

HOST = "https://api.loganalytics.io"
CLUSTER = "/subscriptions/s/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/shop"


class Logs:
    """One workspace, and queries on it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.group = f"/subscriptions/{host.subscription_id}/resourceGroups/rg-logs"
        self.id = f"{self.group}/providers/Microsoft.OperationalInsights/workspaces/logs-one"
        self.customer_id = ""

    async def make(self) -> None:
        await self.arm("PUT", self.group, {"location": "westeurope"}, "2024-11-01")
        body: dict[str, Any] = {"location": "westeurope", "properties": {"sku": {"name": "PerGB2018"}}}
        self.customer_id = (await self.arm("PUT", self.id, body)).json()["properties"]["customerId"]

    async def arm(
        self, method: str, path: str, body: Any = None, version: str = "2023-09-01", who: str = ""
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

    def add(self, table: str, *rows: dict[str, Any], age: float = 60) -> None:
        """Rows of `age` seconds ago."""
        moment = stamp(self.host.clock.now() - dt.timedelta(seconds=age))
        self.rows.add(
            [(self.customer_id, table, {"TimeGenerated": moment, "_ResourceId": CLUSTER, **row}) for row in rows]
        )

    @property
    def rows(self) -> Any:
        return self.host.arm.provider("Microsoft.OperationalInsights").ingestion(self.host.arm).rows

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str = "",
        audience: str = HOST,
        prefer: str = "",
        **more: Any,
    ) -> httpx.Response:
        """A request to the query API, by the owner of the subscription or somebody else."""
        token = self.host.entra.issue(who or self.host.owner_ids[0], audience)
        headers = {"Authorization": f"Bearer {token}"} | ({"Prefer": prefer} if prefer else {})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.host.dispatch)) as client:
            return await client.request(method, f"{HOST}{path}", json=body, headers=headers, **more)

    async def query(self, text: str, **more: Any) -> httpx.Response:
        body = {"query": text} | ({"timespan": more.pop("timespan")} if "timespan" in more else {})
        return await self.send("POST", f"/v1/workspaces/{self.customer_id}/query", body, **more)

    async def cells(self, text: str, **more: Any) -> list[list[Any]]:
        answer = await self.query(text, **more)
        assert answer.status_code == 200, answer.text
        found: list[list[Any]] = answer.json()["tables"][0]["rows"]
        return found

    def person(self, key: str) -> str:
        found: str = next(p.object_id for p in self.host.entra.personas() if p.key == key)
        return found

    async def assign(self, who: str, role: str, scope: str) -> None:
        definition = (
            f"/subscriptions/{self.host.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        )
        body = {"properties": {"roleDefinitionId": definition, "principalId": who, "principalType": "User"}}
        name = f"{scope}/providers/Microsoft.Authorization/roleAssignments/5a9d3c1e-7f42-4c1b-9d57-0e6b5f2a1c34"
        answer = await self.arm("PUT", name, body, "2022-04-01")
        assert answer.status_code == 201, answer.text


LOG_ANALYTICS_READER = "73c42c96-874c-492b-b04d-ab87d138a893"
ACR_PULL = ROLES["AcrPull"]


@pytest.fixture
async def logs(home: Path) -> AsyncIterator[Logs]:
    host = Host(home)
    await host.start()
    found = Logs(host)
    await found.make()
    yield found
    await host.stop()
