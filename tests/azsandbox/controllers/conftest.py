"""A cluster in this process: an API server in memory, the controllers of workloads, and nodes that run pods at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from azsandbox.cluster import Cluster, add_nodes
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.namespaces import NamespaceController
from azsandbox.controllers.service_accounts import ServiceAccounts
from azsandbox.controllers.workloads import CONTROLLERS_WORKLOADS
from azsandbox.store import Store
from tests.azsandbox.controllers.fake_nodes import FakeNodes

RESOURCES = {
    "Pod": ("v1", "pods"),
    "ResourceQuota": ("v1", "resourcequotas"),
    "ConfigMap": ("v1", "configmaps"),
    "Deployment": ("apps/v1", "deployments"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
}


class Workloads:
    """What the tests do with the cluster, all in the namespace `default`."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client

    def url(self, kind: str, name: str = "", subresource: str = "") -> str:
        api_version, resource = RESOURCES[kind]
        return path(api_version, resource, "default", name, subresource)

    async def create(self, kind: str, name: str, spec: Object | None = None, **more: Any) -> Object:
        metadata = {"name": name, **more.pop("metadata", {})}
        body = {"apiVersion": RESOURCES[kind][0], "kind": kind, "metadata": metadata, **more}
        if spec is not None:
            body["spec"] = spec
        return await self.client.create(self.url(kind), body)

    async def get(self, kind: str, name: str) -> Object:
        return await self.client.get(self.url(kind, name))

    async def list(self, kind: str) -> Any:
        return await self.client.list(self.url(kind))

    async def patch(self, kind: str, name: str, change: Object, subresource: str = "") -> Object:
        return await self.client.patch(self.url(kind, name, subresource), change)

    async def until(self, kind: str, name: str, test: Callable[[Object], bool], seconds: float = 5.0) -> Object:
        """The object once `test` is true of it."""

        async def look() -> Object | None:
            found = await self.client.find(self.url(kind, name))
            return found if found is not None and test(found) else None

        return await wait(look, seconds)

    async def gone(self, kind: str, name: str, seconds: float = 5.0) -> None:
        async def look() -> bool:
            return await self.client.find(self.url(kind, name)) is None

        await wait(look, seconds)

    async def messages(self, name: str, reason: str = "") -> Any:
        """Messages of the events about an object."""
        events = await self.client.list(path("v1", "events", "default"))
        return [
            event["message"]
            for event in events
            if event["involvedObject"]["name"] == name and reason in ("", event["reason"])
        ]


async def wait(look: Callable[[], Awaitable[Any]], seconds: float = 5.0) -> Any:
    """What `look` finds, once it finds something."""
    async with asyncio.timeout(seconds):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.01)


@pytest.fixture
async def workloads() -> AsyncIterator[Workloads]:
    cluster = Cluster(
        "test",
        Store(None).bucket("cluster"),
        controllers=[NamespaceController, ServiceAccounts, FakeNodes, *CONTROLLERS_WORKLOADS],
        options={"pod_gc_quarantine": 0.1},
    )
    await cluster.start()
    await add_nodes(cluster.client, 2)
    account = path("v1", "serviceaccounts", "default", "default")
    await wait(lambda: cluster.client.find(account))
    yield Workloads(cluster.client)
    await cluster.stop()


def pod_template(app: str = "web", image: str = "nginx:1.27", **spec: Any) -> Object:
    containers = [{"name": "app", "image": image}]
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers, **spec}}


def workload(app: str = "web", image: str = "nginx:1.27", **spec: Any) -> Object:
    """A spec with a selector and a template."""
    return {"selector": {"matchLabels": {"app": app}}, "template": pod_template(app, image), **spec}
