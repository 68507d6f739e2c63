"""Waiting for objects, in a cluster where the test writes the statuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from azsandbox.cluster import Cluster
from azsandbox.controllers.client import JSON_PATCH, KubeClient, path
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.flux.waiting import WaitFailed, wait_until_gone, wait_until_ready
from azsandbox.store import Store

DEPLOYMENTS = path("apps/v1", "deployments", "default")
LABELS = {"app": "web"}
READY = {
    "replicas": 1,
    "updatedReplicas": 1,
    "availableReplicas": 1,
    "readyReplicas": 1,
    "observedGeneration": 1,
    "conditions": [
        {"type": "Available", "status": "True"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ],
}
LATE = {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    cluster = Cluster("waiting", Store(None).bucket("cluster"))
    await cluster.start()
    yield cluster.client
    await cluster.stop()


async def deploy(client: KubeClient, name: str) -> ObjectRef:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    spec = {"selector": {"matchLabels": LABELS}, "template": template}
    await client.create(
        DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    )
    return ObjectRef("apps", "Deployment", "default", name)


async def say(client: KubeClient, name: str, status: dict[str, Any]) -> None:
    change = [{"op": "add", "path": "/status", "value": status}]
    await client.patch(f"{DEPLOYMENTS}/{name}/status", change, JSON_PATCH)


async def test_a_wait_ends_when_the_last_object_has_become_ready(client: KubeClient) -> None:
    refs = [await deploy(client, name) for name in ("one", "two")]
    wait = asyncio.create_task(wait_until_ready(client, RestMapping(client), refs, 30))
    await say(client, "one", READY)
    await asyncio.sleep(0.05)
    assert not wait.done()
    await say(client, "two", READY)
    async with asyncio.timeout(2):  # long before anything is read again
        await wait


async def test_many_objects_of_a_kind_are_followed_together(client: KubeClient) -> None:
    refs = [await deploy(client, f"web-{n}") for n in range(10)]
    wait = asyncio.create_task(wait_until_ready(client, RestMapping(client), refs, 30))
    await asyncio.sleep(0.05)
    for n in range(10):
        await say(client, f"web-{n}", READY)
    async with asyncio.timeout(2):
        await wait


async def test_what_is_not_ready_in_time_is_named_with_its_status(client: KubeClient) -> None:
    refs = [await deploy(client, "one"), ObjectRef("", "ConfigMap", "default", "none")]
    with pytest.raises(WaitFailed) as failure:
        await wait_until_ready(client, RestMapping(client), refs, 0.1)
    assert str(failure.value) == (
        "timeout waiting for: [Deployment/default/one status: 'InProgress', ConfigMap/default/none status: 'NotFound']"
    )


async def test_a_failed_object_ends_the_wait_at_once_where_that_is_asked_for(client: KubeClient) -> None:
    refs = [await deploy(client, name) for name in ("one", "two")]
    mapping = RestMapping(client)
    wait = asyncio.create_task(wait_until_ready(client, mapping, refs, 30, fail_fast=True))
    await asyncio.sleep(0.05)
    await say(client, "one", LATE)
    with pytest.raises(WaitFailed) as failure:
        async with asyncio.timeout(2):
            await wait
    assert str(failure.value) == ("failed early due to stalled resources: [Deployment/default/one status: 'Failed']")


async def test_a_job_that_its_ttl_has_removed_counts_as_through(client: KubeClient) -> None:
    ref = ObjectRef("batch", "Job", "default", "gone")
    await wait_until_ready(client, RestMapping(client), [ref], 1, vanishing=[ref])


async def test_a_kind_that_the_server_does_not_know_is_of_unknown_status(client: KubeClient) -> None:
    ref = ObjectRef("example.com", "Widget", "default", "one")
    with pytest.raises(WaitFailed, match="Widget/default/one status: 'Unknown': no matches for kind"):
        await wait_until_ready(client, RestMapping(client), [ref], 0.1)


async def test_a_wait_for_deletion_ends_with_it_or_says_what_is_still_there(client: KubeClient) -> None:
    ref = await deploy(client, "one")
    mapping = RestMapping(client)
    with pytest.raises(WaitFailed, match="Deployment/default/one termination timeout: context deadline exceeded"):
        await wait_until_gone(client, mapping, [ref], 0.1)
    wait = asyncio.create_task(wait_until_gone(client, mapping, [ref], 30))
    await asyncio.sleep(0.05)
    await client.delete(f"{DEPLOYMENTS}/one")
    async with asyncio.timeout(5):
        await wait


async def test_a_kind_that_comes_later_is_found_by_asking_again(client: KubeClient) -> None:
    mapping = RestMapping(client)
    with pytest.raises(NoMatch, match=r"no matches for kind .Widget. in version .example\.com/v1."):
        await mapping.of("example.com/v1", "Widget")
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Widget", "plural": "widgets"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    await client.create(path("apiextensions.k8s.io/v1", "customresourcedefinitions"), definition)
    async with asyncio.timeout(5):
        while True:
            try:
                found = await mapping.of("example.com/v1", "Widget")
                break
            except NoMatch:
                await asyncio.sleep(0.02)
    assert found.path("default", "one") == "/apis/example.com/v1/namespaces/default/widgets/one"
    assert (await mapping.preferred(ObjectRef("example.com", "Widget", "", ""))) == found
    assert found in await mapping.all()
