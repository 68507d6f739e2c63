"""A whole cluster in this process: pods are scheduled and live, services find them, namespaces go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from azsandbox.cluster import DEFAULT_VERSION, Cluster, add_nodes
from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.cluster_controllers import CONTROLLERS_CLUSTER
from azsandbox.store import Store

PODS = path("v1", "pods", "default")


async def _cluster(**options: Any) -> AsyncIterator[KubeClient]:
    cluster = Cluster("test", Store(None).bucket("cluster"), DEFAULT_VERSION, CONTROLLERS_CLUSTER, options)
    await cluster.start()
    try:
        await add_nodes(cluster.client, 2)
        await until(cluster.client, path("v1", "serviceaccounts", "default", "default"), lambda found: True)
        await until(
            cluster.client, path("v1", "nodes"), lambda found: all(not n["spec"].get("taints") for n in found["items"])
        )
        yield cluster.client
    finally:
        await cluster.stop()


@pytest.fixture
async def kwok() -> AsyncIterator[KubeClient]:
    async for client in _cluster(profile="kwok"):
        yield client


@pytest.fixture
async def kubelet() -> AsyncIterator[KubeClient]:
    ranges = {"public": "20.61.0.0/24", "internal": "10.240.255.0/24"}
    async for client in _cluster(profile="kubelet", load_balancer_ranges=ranges, csi_drivers=["disk.csi.azure.com"]):
        yield client


async def until(
    client: KubeClient, url: str, test: Callable[[dict[str, Any]], Any], seconds: float = 10
) -> dict[str, Any]:
    """Reads until the object passes the test."""
    async with asyncio.timeout(seconds):
        while True:
            found = await client.find(url)
            if found is not None and test(found):
                return found
            await asyncio.sleep(0.01)


def pod(name: str, labels: dict[str, str] | None = None, image: str = "nginx:1.27", **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": image, **spec.pop("container", {})}
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def phase(wanted: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found["status"].get("phase") == wanted


def waiting(reason: str) -> Callable[[dict[str, Any]], bool]:
    def test(found: dict[str, Any]) -> bool:
        statuses = found["status"].get("containerStatuses") or [{}]
        return (statuses[0].get("state") or {}).get("waiting", {}).get("reason") == reason

    return test


async def test_a_pod_runs_and_its_service_finds_it(kwok: KubeClient) -> None:
    await kwok.create(PODS, pod("web", {"app": "web"}))
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    await kwok.create(path("v1", "services", "default"), {"apiVersion": "v1", "kind": "Service", **service})
    found = await until(kwok, f"{PODS}/web", phase("Running"))
    assert found["status"]["podIP"].startswith("10.244.")
    endpoints = path("v1", "endpoints", "default", "web")
    ready = await until(kwok, endpoints, lambda e: e.get("subsets"))
    assert ready["subsets"][0]["addresses"][0]["ip"] == found["status"]["podIP"]


async def test_a_deleted_namespace_takes_its_content_along(kwok: KubeClient) -> None:
    await kwok.create(path("v1", "namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}})
    await until(kwok, path("v1", "configmaps", "gone", "kube-root-ca.crt"), lambda found: True)
    await kwok.delete(path("v1", "namespaces", name="gone"))
    async with asyncio.timeout(10):
        while await kwok.find(path("v1", "namespaces", name="gone")) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_volume_is_bound_to_the_claim_that_it_fits(kwok: KubeClient) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "5Gi"},
        "hostPath": {"path": "/d"},
        "storageClassName": "c",
    }
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": spec}
    await kwok.create(path("v1", "persistentvolumes"), volume)
    wanted = {"accessModes": ["ReadWriteOnce"], "storageClassName": "c", "resources": {"requests": {"storage": "2Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": wanted}
    await kwok.create(path("v1", "persistentvolumeclaims", "default"), claim)
    found = await until(kwok, path("v1", "persistentvolumeclaims", "default", "data"), phase("Bound"))
    assert found["status"]["capacity"] == {"storage": "5Gi"}


async def test_init_containers_run_before_the_others(kubelet: KubeClient) -> None:
    setup = {"name": "setup", "image": "busybox:1.37", "command": ["sh", "-c", "echo one"]}
    await kubelet.create(PODS, pod("web", initContainers=[setup]))
    found = await until(kubelet, f"{PODS}/web", phase("Running"))
    assert found["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert set(conditions.values()) == {"True"}
    assert "PodReadyToStartContainers" in conditions


async def test_a_container_that_fails_is_restarted_and_backs_off(kubelet: KubeClient) -> None:
    await kubelet.create(PODS, pod("crash", image="busybox:1.37", container={"command": ["sh", "-c", "exit 3"]}))
    found = await until(kubelet, f"{PODS}/crash", waiting("CrashLoopBackOff"))
    status = found["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=app pod=crash_default("
    )


async def test_an_image_that_cannot_be_pulled_backs_off(kubelet: KubeClient) -> None:
    await kubelet.create(PODS, pod("typo", image="nginx:typo"))
    found = await until(kubelet, f"{PODS}/typo", waiting("ImagePullBackOff"))
    message = found["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    assert message.startswith('Back-off pulling image "nginx:typo": ErrImagePull: rpc error: code = NotFound')


async def test_a_load_balancer_gets_an_address_of_its_range(kubelet: KubeClient) -> None:
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"a": "b"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lb"}, "spec": spec}
    await kubelet.create(path("v1", "services", "default"), service)
    url = path("v1", "services", "default", "lb")
    found = await until(kubelet, url, lambda s: s["status"]["loadBalancer"].get("ingress"))
    assert found["status"]["loadBalancer"]["ingress"][0]["ip"] == "20.61.0.1"
    await kubelet.delete(url)
    async with asyncio.timeout(5):
        while await kubelet.find(url) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
