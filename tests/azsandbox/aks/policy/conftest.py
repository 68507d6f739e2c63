"""Resource Manager and a cluster with the add-on's workloads, both without what the add-on is not about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from azsandbox.aks.policy import installation, processes
from azsandbox.arm import Arm
from azsandbox.arm.resources import Stored
from azsandbox.clock import Clock
from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import path
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError
from azsandbox.policy.installation import install
from azsandbox.store import Store
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client, Services

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
TYPE = "Microsoft.ContainerService/managedClusters"
CLUSTER = f"{GROUP}/providers/{TYPE}/aks"
IMAGE = "mcr.microsoft.com/azure-policy/policy-kubernetes-addon-prod:1.15.5"
V = "2025-03-01"


class Lab:
    """Azure's side by requests, the cluster's by its client."""

    def __init__(self, arm: Arm, cluster: Cluster) -> None:
        self.arm, self.call, self.cluster, self.client = arm, Client(arm), cluster, cluster.client

    async def prepare(self) -> None:
        await self.call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
        body: dict[str, Any] = {"id": CLUSTER, "name": "aks", "type": TYPE, "location": "westeurope"}
        self.arm.resources.put(Stored(CLUSTER, TYPE, body | {"properties": {"resourceUID": "0"}}))
        await self.cluster.start()
        await add_nodes(self.client, 1)
        await install(self.client)
        await installation.install(self.client)
        labels = {"app": "azure-policy"}
        container = {"name": "azure-policy", "image": IMAGE}
        spec = {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        }
        metadata = {"name": "azure-policy", "namespace": "kube-system"}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        await self.client.create(path("apps/v1", "deployments", "kube-system"), deployment)

    async def assign(self, definition: str, name: str = "a", scope: str = CLUSTER, **properties: Any) -> dict[str, Any]:
        """An assignment; `values` are its parameters, a definition may be given by its GUID."""
        id_ = definition if "/" in definition else f"/providers/Microsoft.Authorization/policyDefinitions/{definition}"
        parameters = {k: {"value": v} for k, v in properties.pop("values", {}).items()}
        body = {"properties": {"policyDefinitionId": id_, "parameters": parameters, **properties}}
        answer = await self.call("PUT", f"{scope}/providers/Microsoft.Authorization/policyAssignments/{name}", body, V)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def constraints(self, kind: str) -> list[dict[str, Any]]:
        try:
            return await self.client.list(path("constraints.gatekeeper.sh/v1beta1", kind.lower()))
        except StatusError:
            return []

    async def only(self, kind: str, seen: Callable[[dict[str, Any]], Any] = bool) -> dict[str, Any]:
        """The one constraint of a kind, as soon as there is exactly one and `seen` says that it is as it should be."""

        async def look() -> Any:
            found = await self.constraints(kind)
            return found[0] if len(found) == 1 and seen(found[0]) else None

        return dict(await until(look))

    async def pod(self, name: str, namespace: str = "default", image: str = "nginx", **security: Any) -> str:
        """The refusal of a new pod; "" where it is let in."""
        pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        pod["spec"] = {"containers": [{"name": "app", "image": image, "securityContext": security}]}
        try:
            await self.client.create(path("v1", "pods", namespace), pod)
        except StatusError as error:
            return error.message
        return ""


async def until(seen: Callable[[], Awaitable[Any]]) -> Any:
    """Waits until `seen` answers with something true, and returns it."""
    async with asyncio.timeout(30):
        while not (found := await seen()):  # noqa: ASYNC110 - what is seen has no event
            await asyncio.sleep(0.05)
    return found


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    store = Store(None)
    arm = Arm(Services(store, Clock()))
    options = {"profile": "kwok", "resource_id": CLUSTER, "flux": FluxRuntime(tmp_path)}
    cluster = Cluster("aks", store.bucket("cluster"), controllers=all_controllers(), options=options)
    processes.attach(arm, cluster)
    made = Lab(arm, cluster)
    await made.prepare()
    yield made
    await cluster.stop()
