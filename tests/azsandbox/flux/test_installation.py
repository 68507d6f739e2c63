"""Flux as it is installed: definitions and Deployments."""

from __future__ import annotations

from azsandbox.cluster import Cluster
from azsandbox.controllers.client import path
from azsandbox.flux.installation import controllers, install
from azsandbox.store import Store


async def test_an_installation_has_its_deployments_and_definitions_and_can_be_repeated() -> None:
    cluster = Cluster("flux", Store(None).bucket("cluster"))
    await cluster.start()
    try:
        await install(cluster.client)
        await install(cluster.client)
        deployments = await cluster.client.list(path("apps/v1", "deployments", "flux-system"))
        assert sorted(d["metadata"]["name"] for d in deployments) == sorted(controllers())
        definitions = await cluster.client.list(path("apiextensions.k8s.io/v1", "customresourcedefinitions"))
        assert "gitrepositories.source.toolkit.fluxcd.io" in {d["metadata"]["name"] for d in definitions}
    finally:
        await cluster.stop()
