"""Nodes in the Kubernetes API: one for each machine of a pool, made, changed and taken away by REST calls."""

from __future__ import annotations

import ipaddress
import zlib
from typing import Any

from azsandbox.aks import identities, machines, node_objects, vm_sizes
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import MERGE, KubeClient, path
from azsandbox.kubernetes.errors import StatusError

Document = dict[str, Any]
NODES = path("v1", "nodes")


def describe(arm: Any, cluster: Stored) -> Document:
    """What of a cluster its nodes show."""
    guids = {}
    for pool in arm.resources.children(cluster.id, f"{cluster.type}/agentPools"):
        subnet = pool.properties.get("vnetSubnetID")
        if subnet:
            vnet = arm.resources.get(subnet.rsplit("/subnets/", 1)[0])
            guids[subnet.lower()] = (vnet.properties.get("resourceGuid") or "") if vnet else ""
    return {
        "name": cluster.name,
        "location": cluster.body["location"],
        "subscription": cluster.resource_id.subscription,
        "uid": cluster.properties["resourceUID"],
        "properties": cluster.properties,
        "kubeletClientId": identities.kubelet_client_id(arm, cluster),
        "networkGuids": guids,
    }


def view(pool: Stored) -> Document:
    """What of a pool its nodes show."""
    return {"name": pool.name, "properties": pool.properties, "scaleSet": pool.private["scaleSet"]}


def names(pool: Stored) -> list[str]:
    """Names of the nodes that a pool shall have."""
    return [machines.node_name(pool.private["scaleSet"], m) for m in pool.private["machines"]]


async def of_pool(client: KubeClient, pool: str) -> list[Document]:
    """The nodes of a pool that there are."""
    return await client.list(NODES, labelSelector=f"kubernetes.azure.com/agentpool={pool}")


class Nodes:
    """Brings the nodes of a cluster's pools to what is stored."""

    def __init__(self, arm: Any, client: KubeClient, cluster: Stored) -> None:
        self.arm, self.cluster = arm, cluster
        self.client = client.named("cloud-node-manager")
        self.described = describe(arm, cluster)

    def manifest(self, pool: Stored, machine: Document) -> Document:
        """The Node object of a machine."""
        vm = vm_sizes.find(pool.properties["vmSize"])
        assert vm is not None
        address = self._address(pool, machine)
        now = self.arm.services.clock.now()
        return node_objects.node(self.described, view(pool), machine, vm, address, now)

    def _address(self, pool: Stored, machine: Document) -> str:
        subnet = self.arm.resources.get(pool.properties.get("vnetSubnetID") or "/")
        text = "10.224.0.0/16"
        if subnet is not None:
            text = (subnet.properties.get("addressPrefixes") or [subnet.properties["addressPrefix"]])[0]
        space = ipaddress.ip_network(text)
        block = zlib.crc32(pool.name.encode()) % 8
        offset = 4 + (block * 31 + machine["instance"]) % max(1, space.num_addresses - 5)
        return str(space[offset])

    async def register(self, pool: Stored, machine: Document) -> None:
        """Makes the node of a machine, unless it is there."""
        node = self.manifest(pool, machine)
        try:
            await self.client.create(NODES, node)
        except StatusError as error:
            if error.code != 409:
                raise

    async def remove(self, name: str) -> None:
        """Deletes a node and what ran on it."""
        await self.client.gone(path("v1", "nodes", name=name))

    async def refresh(self, pool: Stored) -> None:
        """Brings labels and taints of the pool's nodes to what is stored; other labels and taints stay."""
        wanted = {machines.node_name(pool.private["scaleSet"], m): m for m in pool.private["machines"]}
        for node in await of_pool(self.client, pool.name):
            machine = wanted.get(node["metadata"]["name"])
            if machine is None:
                continue
            await self._refresh_one(pool, machine, node)

    async def _refresh_one(self, pool: Stored, machine: Document, node: Document) -> None:
        fresh = self.manifest(pool, machine)
        have = node["metadata"].get("labels") or {}
        want = fresh["metadata"]["labels"]
        before = pool.private.get("shown") or {}
        change: Document = {k: v for k, v in want.items() if have.get(k) != v}
        change |= {k: None for k in before.get("labels", ()) if k in have and k not in want}
        if change:
            await self.client.patch(
                path("v1", "nodes", name=fresh["metadata"]["name"]), {"metadata": {"labels": change}}, MERGE
            )
        taints = fresh["spec"].get("taints", [])
        own = {t["key"] for t in taints} | set(before.get("taints", ()))
        kept = [t for t in node["spec"].get("taints") or [] if t["key"] not in own]
        if node["spec"].get("taints", []) != kept + taints and (taints or own & _keys(node)):
            await self.client.patch(
                path("v1", "nodes", name=fresh["metadata"]["name"]), {"spec": {"taints": kept + taints}}, MERGE
            )

    async def cordon(self, name: str, on: bool = True) -> None:
        """Marks a node as not to be scheduled to, or takes the mark away."""
        await self.client.patch(
            path("v1", "nodes", name=name), {"spec": {"unschedulable": True if on else None}}, MERGE
        )

    async def mark(self, name: str, labels: Document) -> None:
        """Sets labels on a node."""
        await self.client.patch(path("v1", "nodes", name=name), {"metadata": {"labels": labels}}, MERGE)


def remember(pool: Stored) -> None:
    """Keeps which labels and taints the pool's nodes were given, so that a later change can take them away."""
    own = pool.properties
    pool.private["shown"] = {
        "labels": sorted(own.get("nodeLabels") or {}),
        "taints": sorted(node_objects.taint(t)["key"] for t in own.get("nodeTaints") or []),
    }


def _keys(node: Document) -> set[str]:
    return {t["key"] for t in node["spec"].get("taints") or []}
