"""From what is stored of a cluster to what there is, in steps that can be taken again after a crash."""

from __future__ import annotations

import asyncio
from typing import Any

from azsandbox.aks import add_ons, control_plane, facts, identities, machines, node_resource_group
from azsandbox.aks.nodes import Nodes, names, of_pool, remember
from azsandbox.aks.rolling import roll
from azsandbox.arm.operations import Work
from azsandbox.arm.resources import Stored

BATCH = 4  # nodes that come or go at a time


def _pools(arm: Any, cluster: Stored) -> list[Stored]:
    found: list[Stored] = arm.resources.children(cluster.id, f"{cluster.type}/agentPools")
    return sorted(found, key=lambda s: (s.private.get("order", 0), s.name))


def cluster_of(arm: Any, pool: Stored) -> Stored | None:
    """The cluster of a pool."""
    parent = pool.resource_id.parent
    found: Stored | None = arm.resources.get(parent) if parent else None
    return found


def _tell(work: Work | None, percent: float, step: str) -> None:
    if work is not None:
        work.progress(percent, step)


async def bring_up(work: Work) -> None:
    """Creates what a stored cluster asks for: identities, API, workloads, nodes."""
    cluster = work.resource
    if cluster is None:
        return
    arm = work.arm
    _tell(work, 5, "creating identities and the node resource group")
    with arm.atomic():
        node_resource_group.ensure(arm, cluster)
        identities.ensure(arm, cluster)
    _tell(work, 15, "starting the control plane")
    running = await control_plane.ensure(arm, cluster)
    _tell(work, 40, "installing system components")
    await add_ons.converge(arm, cluster, running.client)
    pools = _pools(arm, cluster)
    for number, pool in enumerate(pools):
        _tell(work, 55 + 35 * number / len(pools), f"provisioning node pool {pool.name}")
        await converge_pool(arm, pool.id, None)
    _tell(work, 95, "waiting for nodes")


async def converge_cluster(work: Work) -> None:
    """Brings a cluster to a changed state: control plane first, then components, then pools."""
    cluster = work.resource
    if cluster is None:
        return
    arm = work.arm
    with arm.atomic():
        node_resource_group.ensure(arm, cluster)
        identities.ensure(arm, cluster)
    before = control_plane.running(arm, cluster)
    version = f"v{cluster.properties['currentKubernetesVersion']}"
    if before is not None and before.version != version:
        _tell(work, 10, f"upgrading the control plane to {version.removeprefix('v')}")
        await work.sleep(facts.seconds("cluster", "update"))
    running = await control_plane.ensure(arm, cluster)
    _tell(work, 30, "reconciling system components")
    await add_ons.converge(arm, cluster, running.client)
    pools = _pools(arm, cluster)
    for number, pool in enumerate(pools):
        _tell(work, 40 + 55 * number / len(pools), f"reconciling node pool {pool.name}")
        await converge_pool(arm, pool.id, work, part=(40 + 55 * number / len(pools), 55 / len(pools)))


async def converge_pool(
    arm: Any, pool_id: str, work: Work | None, image: bool = False, part: tuple[float, float] = (0, 95)
) -> None:
    """Brings the machines and nodes of a pool to what is stored: adds, removes, upgrades, relabels.

    `part` is where in the progress of the operation this lies: from, and how much. Machines are written before their
    nodes are made and after they are gone, so the work can begin again at any point.
    """
    pool = arm.resources.get(pool_id)
    cluster = cluster_of(arm, pool) if pool else None
    running = control_plane.running(arm, cluster) if cluster else None
    if pool is None or cluster is None or running is None:
        return
    nodes = Nodes(arm, running.client, cluster)
    await _scale(arm, nodes, pool, work, part)
    pool = arm.resources.get(pool_id)
    if pool is None:
        return
    if image or _outdated(pool) or any(m.get("surge") for m in pool.private["machines"]):
        await roll(arm, nodes, pool_id, work, part)
        pool = arm.resources.get(pool_id)
    if pool is not None:
        await nodes.refresh(pool)
        remember(pool)
        arm.resources.put(pool, touch=False)
        node_resource_group.show_pool(arm, cluster, pool)


def made(pool: Stored) -> dict[str, str]:
    """Version and image of a new machine of the pool."""
    own = pool.properties
    return {"version": own["currentOrchestratorVersion"], "image": own["nodeImageVersion"]}


def _outdated(pool: Stored) -> bool:
    want = made(pool)
    return any(m["version"] != want["version"] or m["image"] != want["image"] for m in pool.private["machines"])


async def _scale(arm: Any, nodes: Nodes, pool: Stored, work: Work | None, part: tuple[float, float]) -> None:
    """Adds or removes machines until there are as many as the pool shall have."""
    zones = pool.properties.get("availabilityZones") or []
    have = pool.private["machines"]
    doomed = set(pool.private.pop("doomed", []))
    target = int(pool.private["target"] if "target" in pool.private else pool.properties["count"])
    surplus = [m for m in have if m.get("surge")]
    have = [m for m in have if not m.get("surge")]
    gone = [m for m in have if machines.node_name(pool.private["scaleSet"], m) in doomed]
    kept = [m for m in have if m not in gone]
    gone += machines.shrink(kept, target, zones)
    kept = [m for m in have if m not in gone]
    fresh = machines.grow(kept, target, pool.private["next"], zones, **made(pool))
    if fresh:
        pool.private["next"] = fresh[-1]["instance"] + 1
        pool.private["machines"] = have + surplus + fresh
        arm.resources.put(pool, touch=False)
    existing = {n["metadata"]["name"] for n in await of_pool(nodes.client, pool.name)}
    missing = [m for m in pool.private["machines"] if machines.node_name(pool.private["scaleSet"], m) not in existing]
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        _tell(work, part[0] + part[1] * start / len(missing), f"adding {len(missing)} node(s) to {pool.name}")
        await asyncio.gather(*(nodes.register(pool, m) for m in batch))
    for number, machine in enumerate(gone):
        _tell(work, part[0] + part[1] * number / len(gone), f"removing {len(gone)} node(s) from {pool.name}")
        await _retire(arm, nodes, pool.id, machine)
    unknown = existing - set(names(arm.resources.get(pool.id) or pool))
    for name in unknown:
        await nodes.remove(name)
    latest = arm.resources.get(pool.id)
    if latest is not None and latest.private.get("doomed"):
        latest.private.pop("doomed")
        arm.resources.put(latest, touch=False)


async def _retire(arm: Any, nodes: Nodes, pool_id: str, machine: machines.Machine) -> None:
    """Takes one machine out of the pool, then its node."""
    pool = arm.resources.get(pool_id)
    if pool is None:
        return
    name = machines.node_name(pool.private["scaleSet"], machine)
    await nodes.remove(name)
    pool.private["machines"] = [m for m in pool.private["machines"] if m["instance"] != machine["instance"]]
    arm.resources.put(pool, touch=False)


async def remove_pool(arm: Any, pool: Stored, work: Work | None) -> None:
    """Drains and deletes the nodes of a pool, and its scale set."""
    cluster = cluster_of(arm, pool)
    if cluster is None:
        return
    running = control_plane.running(arm, cluster)
    if running is not None:
        nodes = Nodes(arm, running.client, cluster)
        found = await of_pool(running.client, pool.name)
        for number, node in enumerate(found):
            _tell(work, 90 * number / len(found), f"deleting node {node['metadata']['name']}")
            await nodes.remove(node["metadata"]["name"])
    node_resource_group.hide_pool(arm, cluster, pool)


async def take_down(arm: Any, cluster: Stored, work: Work | None) -> None:
    """Deletes everything of a cluster: its API, identities, node resource group."""
    _tell(work, 20, "deleting the control plane")
    await control_plane.delete(arm, cluster)
    _tell(work, 60, "deleting the node resource group")
    identities.remove_all(arm, cluster)
    node_resource_group.remove(arm, cluster)


async def start(arm: Any, cluster: Stored) -> None:
    """Starts the API of a stopped cluster, and its nodes."""
    running = await control_plane.ensure(arm, cluster)
    await add_ons.converge(arm, cluster, running.client)
    for pool in _pools(arm, cluster):
        await converge_pool(arm, pool.id, None)


async def stop(arm: Any, cluster: Stored) -> None:
    """Takes the nodes away and stops the API. The machines stay written down, to come back with `start`."""
    running = control_plane.running(arm, cluster)
    if running is not None:
        nodes = Nodes(arm, running.client, cluster)
        for pool in _pools(arm, cluster):
            for node in await of_pool(running.client, pool.name):
                await nodes.remove(node["metadata"]["name"])
    await control_plane.stop(arm, cluster)
