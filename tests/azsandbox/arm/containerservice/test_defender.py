"""securityProfile.defender of a managed cluster: what it needs, how api-versions show it, and the sensor that it brings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from azsandbox.controllers.client import KubeClient, path
from azsandbox.kubernetes.errors import StatusError
from tests.azsandbox.registry.conftest import Azure, azure, home, made_home

__all__ = ["azure", "home", "made_home"]

NOW = "2026-02-01"
DAEMONS, DEPLOYMENTS = (path("apps/v1", kind, "kube-system") for kind in ("daemonsets", "deployments"))


class Shop:
    """A cluster, and a workspace beside it."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure
        self.id = f"{azure.group}/providers/Microsoft.ContainerService/managedClusters/shop"
        self.workspace = f"{azure.group}/providers/Microsoft.OperationalInsights/workspaces/logs"

    async def put(self, profile: dict[str, Any] | None, version: str = NOW) -> Any:
        pool = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5"}
        properties: dict[str, Any] = {"dnsPrefix": "shop", "agentPoolProfiles": [pool]}
        if profile is not None:
            properties["securityProfile"] = profile
        body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties}
        return await self.azure.arm("PUT", self.id, body, version=version)

    async def done(self, profile: dict[str, Any] | None, version: str = NOW) -> Any:
        answer = await self.put(profile, version)
        assert answer.status_code in (200, 201), answer.text
        await self.azure.done(answer)
        return (await self.azure.arm("GET", self.id, version=version)).json()["properties"]["securityProfile"]

    def sensor(self, on: bool = True) -> dict[str, Any]:
        return {"defender": {"logAnalyticsWorkspaceResourceId": self.workspace, "securityMonitoring": {"enabled": on}}}


@pytest.fixture
async def shop(azure: Azure) -> Shop:
    made = Shop(azure)
    await azure.arm("PUT", azure.group, {"location": "westeurope"}, version="2024-11-01")
    body = {"location": "westeurope", "properties": {"sku": {"name": "PerGB2018"}}}
    answer = await azure.arm("PUT", made.workspace, body, version="2023-09-01")
    assert answer.status_code in (200, 201), answer.text
    return made


async def test_the_sensor_comes_and_goes_with_the_profile(shop: Shop) -> None:
    assert await shop.done(shop.sensor()) == shop.sensor()
    kube: KubeClient = next(iter(shop.azure.host.clusters._running.values())).client
    collectors = await kube.get(f"{DAEMONS}/microsoft-defender-collector-ds")
    names = [c["name"] for c in collectors["spec"]["template"]["spec"]["containers"]]
    assert names == ["microsoft-defender-pod-collector", "microsoft-defender-low-level-collector"]
    await ready(kube)
    assert await kube.get(f"{DEPLOYMENTS}/microsoft-defender-collector-misc")
    off = {"defender": {"securityMonitoring": {"enabled": False}}}
    assert await shop.done(off) == off
    with pytest.raises(StatusError, match="not found"):
        await kube.get(f"{DAEMONS}/microsoft-defender-collector-ds")


async def ready(kube: KubeClient) -> None:
    """Waits until the sensor runs on the node."""
    async with asyncio.timeout(30):
        while True:
            found = await kube.get(f"{DAEMONS}/microsoft-defender-collector-ds")
            if (found.get("status") or {}).get("numberReady") == 1:
                return
            await asyncio.sleep(0.05)


async def test_a_request_without_the_profile_leaves_it_as_it_is(shop: Shop) -> None:
    await shop.done(shop.sensor())
    assert await shop.done(None) == shop.sensor()
    assert await shop.done({"imageCleaner": {"enabled": True, "intervalHours": 48}}) == {
        **shop.sensor(),
        "imageCleaner": {"enabled": True, "intervalHours": 48},
    }


async def test_older_api_versions_say_azure_defender(shop: Shop) -> None:
    old = {"azureDefender": {"enabled": True, "logAnalyticsWorkspaceResourceId": shop.workspace}}
    assert await shop.done(old, "2022-04-01") == old
    assert (await shop.azure.arm("GET", shop.id, version=NOW)).json()["properties"]["securityProfile"] == shop.sensor()


@pytest.mark.parametrize(
    ("profile", "status", "text"),
    [
        (
            {"defender": {"securityMonitoring": {"enabled": True}}},
            400,
            "Required parameter securityProfile.defender.logAnalyticsWorkspaceResourceId is missing (null).",
        ),
        (
            {
                "defender": {
                    "securityMonitoring": {"enabled": True},
                    "logAnalyticsWorkspaceResourceId": "/subscriptions/s/resourceGroups/r/providers/p/workspaces/none",
                }
            },
            400,
            "of Microsoft Defender was not found.",
        ),
        ({"defender": {"securityGating": {"enabled": True}}}, 501, "securityProfile.defender.securityGating"),
        ({"azureKeyVaultKms": {"enabled": True}}, 501, "securityProfile.azureKeyVaultKms"),
        ({"radar": {}}, 501, "properties.securityProfile.radar"),
    ],
)
async def test_what_defender_cannot_do_without_is_asked_for(
    shop: Shop, profile: dict[str, Any], status: int, text: str
) -> None:
    answer = await shop.put(profile)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
