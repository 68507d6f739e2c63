"""What the autoscaler makes of pods that wait."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from azsandbox.aks import control_plane
from azsandbox.aks.autoscaler import CLUSTERS, Autoscaler
from azsandbox.aks.room import Room
from azsandbox.controllers.client import path
from azsandbox.controllers.events import EventRecorder
from tests.azsandbox.aks.logs.conftest import Lab, lab, made_home

__all__ = ["lab", "made_home"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def waiting(name: str) -> dict[str, Any]:
    """A pod that found no room; three of its kind fit a node."""
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    resources = {"requests": {"cpu": "1"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "app", "image": "nginx", "resources": resources}]},
        "status": {"phase": "Pending", "conditions": [unscheduled]},
    }


async def test_pods_that_a_node_on_its_way_will_take_bring_no_further_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = lab.host.arm
    cluster = arm.resources.get(lab.cluster_id)
    assert cluster is not None
    client = control_plane.client(arm, cluster)
    assert client is not None
    (pool,) = arm.resources.children(lab.cluster_id, f"{CLUSTERS}/agentPools")
    pool.properties.update(enableAutoScaling=True, minCount=1, maxCount=3)
    node = (await client.list(path("v1", "nodes")))[0]
    node["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    wanted: list[int] = []

    async def resized(self: Autoscaler, cluster: Any, client: Any, pool_id: str, count: int) -> None:
        wanted.append(count)

    monkeypatch.setattr(Autoscaler, "_resize", resized)
    scaler = Autoscaler(arm, lab.cluster_id)
    scaler.events = EventRecorder(client, "cluster-autoscaler")

    async def grows(*names: str) -> bool:
        room = Room([node], [], {"default": {}})
        grown = await scaler._grow(cluster, client, [pool], room, [waiting(name) for name in names])
        assert grown or list(room.snapshot.nodes) == [node["metadata"]["name"]]
        return grown

    scaler.last_add = time.monotonic()
    assert (await grows("a", "b"), wanted) == (False, [])
    assert (await grows("a", "b", "c", "d", "e"), wanted) == (True, [2])
    scaler.last_add = float("-inf")  # it has not come in time: it is not counted on
    assert (await grows("a"), wanted) == (True, [2, 2])


async def test_a_pod_that_was_being_placed_on_a_node_as_it_was_tainted_leaves_with_the_others(lab: Lab) -> None:
    """It stayed bound to a node that was gone, until the garbage collector of pods found it 40 seconds later."""
    arm = lab.host.arm
    cluster = arm.resources.get(lab.cluster_id)
    assert cluster is not None
    client = control_plane.client(arm, cluster)
    assert client is not None
    (pool,) = arm.resources.children(lab.cluster_id, f"{CLUSTERS}/agentPools")
    name = "aks-spare-00000000-vmss000000"
    labels = (await client.list(path("v1", "nodes")))[0]["metadata"]["labels"]
    spare = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    node = await client.create(path("v1", "nodes"), spare)

    async def placed() -> None:
        async for event in client.watch(path("v1", "nodes"), fieldSelector=f"metadata.name={name}"):
            if event["type"] == "DELETED" or event["object"]["spec"].get("unschedulable"):
                break
        late = waiting("late")
        late["metadata"].pop("uid")
        late["spec"]["nodeName"] = name
        del late["status"]
        await client.create(path("v1", "pods", "default"), late)

    scaler = Autoscaler(arm, lab.cluster_id)
    scaler.events = EventRecorder(client, "cluster-autoscaler")
    await asyncio.gather(scaler._remove(cluster, client, pool.id, node), placed())
    assert await client.find(path("v1", "nodes", name=name)) is None
    left = await client.find(path("v1", "pods", "default", "late"))
    assert left is None or "deletionTimestamp" in left["metadata"]
