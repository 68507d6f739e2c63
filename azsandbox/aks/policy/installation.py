"""Gatekeeper as the add-on brings it: its workloads are data of AKS, all else is Gatekeeper's own."""

from __future__ import annotations

import asyncio

from azsandbox.aks.policy import facts
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.policy.definitions import manifests
from azsandbox.policy.installation import NAMESPACE, PLURALS

MANAGER = "aks-addon-manager"
_PAUSE, _PATIENCE = 0.05, 5.0  # seconds, of this machine


def objects() -> list[Object]:
    """What is applied besides the workloads."""
    found = [obj for obj in manifests(NAMESPACE) if obj["kind"] != "Deployment"]
    for obj in found:
        labels = obj["metadata"].setdefault("labels", {})
        labels.setdefault("addonmanager.kubernetes.io/mode", "Reconcile")
        if obj["kind"] == "Namespace":
            labels["kubernetes.azure.com/managedby"] = "aks"
    return found + facts.access()


def address(obj: Object) -> str:
    """URL path of an object of the installation."""
    metadata = obj["metadata"]
    return path(obj["apiVersion"], PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"])


async def install(client: KubeClient) -> None:
    """Applies what the add-on needs; it can be repeated."""
    for obj in objects():
        await client.apply(address(obj), obj, MANAGER)


async def remove(client: KubeClient) -> None:
    """Takes it out again: first the webhooks, so that nothing is refused any more; the constraints go with their
    definitions, the workloads with the namespace."""
    if await client.find(path("v1", "namespaces", name=NAMESPACE)) is None:
        return
    ranks = {"ValidatingWebhookConfiguration": 0, "CustomResourceDefinition": 1, "Namespace": 3}
    templates = path("templates.gatekeeper.sh/v1", "constrainttemplates")
    found = objects()
    for obj in sorted(found, key=lambda o: ranks.get(o["kind"], 2)):
        if obj["metadata"]["name"].startswith("constrainttemplates."):
            await _templates(client, templates)
        await client.gone(address(obj))
    definitions = path("apiextensions.k8s.io/v1", "customresourcedefinitions")
    for definition in await client.list(definitions):
        if definition["spec"]["group"] == "constraints.gatekeeper.sh":
            await client.gone(f"{definitions}/{definition['metadata']['name']}")


async def _templates(client: KubeClient, url: str) -> None:
    """Deletes the constraint templates, so that Gatekeeper takes their kinds back while it is still there."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    if (
        await client.find(
            path(
                "apiextensions.k8s.io/v1",
                "customresourcedefinitions",
                name="constrainttemplates.templates.gatekeeper.sh",
            )
        )
        is None
    ):
        return
    while (found := await client.list(url)) and loop.time() < until:
        for template in found:
            await client.gone(f"{url}/{template['metadata']['name']}")
        await asyncio.sleep(_PAUSE)
