"""Pod ranges of nodes, out of the cluster's, and the ttl annotation that nodes get besides.

Options: `pod_cidr` (default 10.244.0.0/16) and `node_mask` (default 24). Rules: k8s.io/kubernetes,
pkg/controller/nodeipam and pkg/controller/ttl.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers

TTL = "node.alpha.kubernetes.io/ttl"
_TTL_STEPS = ((100, "0"), (500, "15"), (1000, "30"), (2000, "60"))


class NodeIpam(Controller):
    """Gives each node a pod range."""

    name = "node-ipam-controller"
    account = "node-controller"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.network = ipaddress.ip_network(options.get("pod_cidr") or "10.244.0.0/16")
        self.mask = int(options.get("node_mask") or 24)
        self._given: dict[str, str] = {}  # the ranges of nodes, those that the watch has yet to tell of included
        self.recorder = EventRecorder(self.client, "cidrAllocator")
        self.nodes = self.follow(informers.of("v1", "nodes"))

    async def reconcile(self, key: str) -> None:
        node = self.nodes.get(key)
        if node is None or node["metadata"].get("deletionTimestamp"):
            return
        change: Object = {}
        ttl = next((text for most, text in _TTL_STEPS if len(self.nodes.objects) <= most), "300")
        if TTL not in (node["metadata"].get("annotations") or {}):
            change["metadata"] = {"annotations": {TTL: ttl}}
        if not (node.get("spec") or {}).get("podCIDR"):
            cidr = self._free()
            if cidr:
                change["spec"] = {"podCIDR": cidr, "podCIDRs": [cidr]}
            else:
                subject = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": key, "uid": key}}
                text = f"Node {key} status is now: CIDRNotAvailable"
                await self.recorder.event(subject, "Normal", "CIDRNotAvailable", text)
        if change:
            updated = await self.client.patch(path("v1", "nodes", name=key), change)
            self._note(updated)

    def _note(self, node: Object) -> None:
        cidr = (node.get("spec") or {}).get("podCIDR")
        if cidr:
            self._given[node["metadata"]["name"]] = cidr

    def _free(self) -> str:
        given = {name: cidr for name, cidr in self._given.items() if self.nodes.get(name)}
        taken = set(given.values())
        taken |= {str((node.get("spec") or {}).get("podCIDR")) for node in self.nodes.list()}
        return next((str(c) for c in self.network.subnets(new_prefix=self.mask) if str(c) not in taken), "")
