"""A controller of Flux acts while its Deployment has a pod."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import path
from azsandbox.controllers.informer import Controller
from azsandbox.flux import reconcilers
from azsandbox.flux.installation import install
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.store import Store


class Recording(Controller):
    """Notes that it runs."""

    name = "source-controller"
    running = 0

    async def run(self) -> None:
        type(self).running += 1
        try:
            await asyncio.Event().wait()
        finally:
            type(self).running -= 1


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(reconcilers, "reconcilers_of", lambda program: [Recording] if program == Recording.name else [])
    options = {"profile": "kwok", "flux": FluxRuntime(tmp_path)}
    cluster = Cluster("flux", Store(None).bucket("cluster"), controllers=all_controllers(), options=options)
    await cluster.start()
    await add_nodes(cluster.client, 1)
    yield cluster
    await cluster.stop()


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not seen():  # noqa: ASYNC110 - what is seen has no event
            await asyncio.sleep(0.02)


async def test_a_controller_runs_while_its_deployment_has_a_pod_and_writes_a_log(cluster: Cluster) -> None:
    await install(cluster.client, components=["source-controller"])
    await until(lambda: Recording.running == 1)
    scale = path("apps/v1", "deployments", "flux-system", "source-controller", "scale")
    pods = await cluster.client.list(path("v1", "pods", "flux-system"))
    log = await cluster.client.get(path("v1", "pods", "flux-system", pods[0]["metadata"]["name"], "log"))
    assert log["msg"] == "starting manager"
    await cluster.client.patch(scale, {"spec": {"replicas": 0}})
    await until(lambda: Recording.running == 0)
    await cluster.client.patch(scale, {"spec": {"replicas": 1}})
    await until(lambda: Recording.running == 1)
