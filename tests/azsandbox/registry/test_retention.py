"""Untagged manifests go once the retention policy keeps them no more, and only those."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any

import httpx

from azsandbox.registry.retention import due
from tests.azsandbox.registry.conftest import INDEX, MANIFEST, Azure, push_image


async def keep(azure: Azure, days: int) -> None:
    await azure.create(
        "labshop", adminUserEnabled=True, policies={"retentionPolicy": {"status": "enabled", "days": days}}
    )


def gone(azure: Azure, days: int) -> list[str]:
    """What the policy deletes after so many days."""
    registry = azure.host.registries.get("labshop")
    assert registry is not None
    return [digest for _, digest in due(registry, azure.host.clock.now() + dt.timedelta(days=days))]


async def test_a_manifest_goes_days_after_it_lost_its_last_tag(azure: Azure, registry: httpx.AsyncClient) -> None:
    early = await push_image(registry, "app", "1", "early")
    await push_image(registry, "app", "1", "before the policy is on")
    await keep(azure, 7)
    moved = await push_image(registry, "app", "2", "moved")
    await push_image(registry, "app", "2", "another")
    assert gone(azure, 6) == []
    assert gone(azure, 8) == [moved]
    await registry.delete("/v2/app/manifests/1")
    assert len(gone(azure, 8)) == 2
    assert early not in gone(azure, 8)


async def test_a_manifest_that_gets_a_tag_again_stays(azure: Azure, registry: httpx.AsyncClient) -> None:
    await keep(azure, 7)
    digest = await push_image(registry, "app", "1", "first")
    await push_image(registry, "app", "1", "second")
    assert gone(azure, 8) == [digest]
    await push_image(registry, "app", "old", "first")
    assert gone(azure, 8) == []


async def test_locked_and_referred_manifests_stay(azure: Azure, registry: httpx.AsyncClient) -> None:
    await keep(azure, 7)
    locked = await push_image(registry, "app", "1", "locked")
    child = await push_image(registry, "app", "2", "child")
    size = len((await registry.get(f"/v2/app/manifests/{child}", headers={"Accept": MANIFEST})).content)
    manifests: list[dict[str, Any]] = [{"mediaType": MANIFEST, "digest": child, "size": size}]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    await registry.put("/v2/app/manifests/all", content=content, headers={"Content-Type": INDEX})
    subject = {"mediaType": MANIFEST, "digest": child, "size": size}
    await push_image(registry, "app", "signature", "signature", subject=subject)
    await registry.patch(f"/acr/v1/app/_manifests/{locked}", json={"deleteEnabled": False})
    for tag in ("1", "2", "signature"):
        await registry.delete(f"/v2/app/manifests/{tag}")
    assert gone(azure, 8) == []


async def test_with_zero_days_they_go_at_once(azure: Azure, registry: httpx.AsyncClient) -> None:
    await keep(azure, 0)
    digest = await push_image(registry, "app", "1", "first")
    await push_image(registry, "app", "1", "second")
    async with asyncio.timeout(20):
        while (await registry.head(f"/v2/app/manifests/{digest}")).status_code != 404:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert (await registry.head("/v2/app/manifests/1")).status_code == 200
