"""Flux as it is installed: definitions, access and Deployments."""

from __future__ import annotations

import asyncio

from azsandbox.cluster import Cluster
from azsandbox.controllers.client import path
from azsandbox.flux import facts
from azsandbox.flux.installation import install, manifests, uninstall
from azsandbox.store import Store


async def test_an_installation_has_its_deployments_and_definitions_and_can_be_repeated_and_taken_away() -> None:
    cluster = Cluster("flux", Store(None).bucket("cluster"))
    await cluster.start()
    definitions = path("apiextensions.k8s.io/v1", "customresourcedefinitions")
    try:
        await install(cluster.client)
        await install(cluster.client)
        deployments = await cluster.client.list(path("apps/v1", "deployments", "flux-system"))
        assert sorted(d["metadata"]["name"] for d in deployments) == sorted(facts.controllers())
        found = {d["metadata"]["name"] for d in await cluster.client.list(definitions)}
        assert found == {d["metadata"]["name"] for d in facts.definitions()}
        await uninstall(cluster.client)
        async with asyncio.timeout(10):
            while await cluster.client.list(definitions):  # noqa: ASYNC110 - each goes once its objects have
                await asyncio.sleep(0.05)
        assert await cluster.client.list(path("apps/v1", "deployments", "flux-system")) == []
    finally:
        await cluster.stop()


def test_an_installation_of_some_components_has_no_others() -> None:
    objects = manifests("v2.7.5", "gitops", ["source-controller", "kustomize-controller"])
    deployments = [obj for obj in objects if obj["kind"] == "Deployment"]
    assert [d["metadata"]["name"] for d in deployments] == ["source-controller", "kustomize-controller"]
    assert deployments[0]["spec"]["template"]["spec"]["containers"][0]["image"].endswith("source-controller:v1.7.4")
    groups = {obj["spec"]["group"] for obj in objects if obj["kind"] == "CustomResourceDefinition"}
    assert groups == {"source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io"}
    binding = next(obj for obj in objects if obj["metadata"]["name"] == "cluster-reconciler-gitops")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kustomize-controller", "namespace": "gitops"}]
