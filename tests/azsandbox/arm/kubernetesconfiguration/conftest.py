"""A managed cluster that is only written down, and requests about what sits on it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from azsandbox.arm import Arm
from azsandbox.arm.providers.kubernetesconfiguration.data_plane import DataPlane
from azsandbox.arm.resources import Stored
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/aks"
TYPE = "Microsoft.ContainerService/managedClusters"
BASE = f"{CLUSTER}/providers/Microsoft.KubernetesConfiguration"


class Configurations:
    """Requests about the extensions and Flux configurations of one cluster."""

    def __init__(self, arm: Arm) -> None:
        self.arm, self.call = arm, Client(arm)
        self.plane = DataPlane(arm, CLUSTER)

    async def prepare(self) -> None:
        await self.call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
        body: dict[str, Any] = {"id": CLUSTER, "name": "aks", "type": TYPE, "location": "westeurope"}
        body |= {"identity": {"type": "SystemAssigned"}, "properties": {"resourceUID": "0"}}
        self.arm.resources.put(Stored(CLUSTER, TYPE, body))

    def have_extension(self, state: str = "Succeeded") -> None:
        """As if microsoft.flux had been installed."""
        type_ = "Microsoft.KubernetesConfiguration/extensions"
        properties = {"extensionType": "microsoft.flux", "provisioningState": state}
        body: dict[str, Any] = {
            "id": f"{BASE}/extensions/flux",
            "name": "flux",
            "type": type_,
            "properties": properties,
        }
        self.arm.resources.put(Stored(body["id"], type_, body))

    async def __call__(self, method: str, path: str, body: Any = None, version: str = "2025-04-01") -> httpx.Response:
        return await self.call(method, f"{BASE}/{path}", body, version)

    async def status(self, answer: httpx.Response) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call.http.get(answer.headers["azure-asyncoperation"])).json()
        return found

    async def ended(self, answer: httpx.Response) -> dict[str, Any]:
        """What the operation of an answer says at its end."""
        async with asyncio.timeout(10):
            while (found := await self.status(answer))["status"] in ("Creating", "Updating", "Deleting"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def configurations(arm: Arm) -> Configurations:
    made = Configurations(arm)
    await made.prepare()
    return made


def git(**more: Any) -> dict[str, Any]:
    """The least body of a Flux configuration, and more properties."""
    source = {"url": "https://git.example/repo", "repositoryRef": {"branch": "main"}}
    return {
        "properties": {
            "namespace": "gitops",
            "sourceKind": "GitRepository",
            "gitRepository": source,
            "kustomizations": {"apps": {"path": "./apps"}},
            **more,
        }
    }
