"""A cluster with Gatekeeper, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import KubeClient, path
from azsandbox.policy.installation import install
from azsandbox.store import Store

Object = dict[str, Any]


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    bucket = Store(None).bucket("cluster")
    cluster = Cluster("gatekeeper", bucket, controllers=all_controllers(), options={"profile": "kwok"})
    await cluster.start()
    await add_nodes(cluster.client, 1)
    await install(cluster.client)
    await until(lambda: _ready(cluster.client))
    yield cluster.client
    await cluster.stop()


async def _ready(client: KubeClient) -> bool:
    found = await client.list(path("apps/v1", "deployments", "gatekeeper-system"))
    return len(found) == 2 and all((d.get("status") or {}).get("availableReplicas") for d in found)


async def until(seen: Callable[[], Awaitable[Any]]) -> Any:
    """Waits until `seen` answers with something true, and returns it."""
    async with asyncio.timeout(30):
        while not (found := await seen()):  # noqa: ASYNC110 - what is seen has no event
            await asyncio.sleep(0.05)
    return found
