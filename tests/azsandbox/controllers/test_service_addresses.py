"""IPAddress objects of Services, and ranges that come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from azsandbox.cluster import Cluster
from azsandbox.controllers import service_cidrs
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.flow_schemas import FlowSchemas
from azsandbox.controllers.service_cidrs import ServiceCidrs
from azsandbox.kubernetes.errors import StatusError
from azsandbox.store import Store
from tests.azsandbox.controllers.conftest import wait

GROUP = "networking.k8s.io/v1"


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    cluster = Cluster("test", Store(None).bucket("cluster"), controllers=[ServiceCidrs, FlowSchemas])
    await cluster.start()
    yield cluster.client
    await cluster.stop()


async def service(client: KubeClient, **spec: object) -> Object:
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}], **spec},
    }
    return await client.create(path("v1", "services", "default"), body)


WEB = path("v1", "services", "default", "web")


async def test_each_cluster_ip_is_an_object_as_long_as_its_service_is(client: KubeClient) -> None:
    found = await service(client)
    address = found["spec"]["clusterIP"]
    held = await client.get(path(GROUP, "ipaddresses", "", address))
    assert held["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "web"}
    assert held["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv4"
    await client.delete(WEB)
    assert await client.find(path(GROUP, "ipaddresses", "", address)) is None


async def test_an_address_that_someone_reserved_is_given_to_no_service(client: KubeClient) -> None:
    address = {
        "apiVersion": GROUP,
        "kind": "IPAddress",
        "metadata": {"name": "10.0.0.77"},
        "spec": {"parentRef": {"resource": "gateways", "name": "mine"}},
    }
    await client.create(path(GROUP, "ipaddresses"), address)
    with pytest.raises(StatusError) as refused:
        await service(client, clusterIP="10.0.0.77")
    assert "provided IP is already allocated" in refused.value.message


async def test_a_range_gives_addresses_and_stays_while_they_are_used(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_cidrs, "GRACE", 0.0)
    url = path(GROUP, "servicecidrs", "", "more")
    body = {
        "apiVersion": GROUP,
        "kind": "ServiceCIDR",
        "metadata": {"name": "more"},
        "spec": {"cidrs": ["10.9.0.0/24"]},
    }
    await client.create(path(GROUP, "servicecidrs"), body)

    async def says(status: str) -> bool:
        found = await client.find(url)
        conditions = ((found or {}).get("status") or {}).get("conditions") or []
        return any(item["type"] == "Ready" and item["status"] == status for item in conditions)

    await wait(lambda: says("True"))
    await service(client, clusterIP="10.9.0.5")
    await client.delete(url)
    await wait(lambda: says("False"))
    await client.delete(WEB)

    async def is_gone() -> bool:
        return await client.find(url) is None

    await wait(is_gone)


async def test_a_flow_schema_without_its_priority_level_dangles(client: KubeClient) -> None:
    group = "flowcontrol.apiserver.k8s.io/v1"
    schema = {
        "apiVersion": group,
        "kind": "FlowSchema",
        "metadata": {"name": "mine"},
        "spec": {"priorityLevelConfiguration": {"name": "nowhere"}, "matchingPrecedence": 1000},
    }
    await client.create(path(group, "flowschemas"), schema)

    async def dangles() -> bool:
        found = await client.get(path(group, "flowschemas", "", "mine"))
        conditions = (found.get("status") or {}).get("conditions") or []
        return any(item["type"] == "Dangling" and item["reason"] == "NotFound" for item in conditions)

    await wait(dangles)
