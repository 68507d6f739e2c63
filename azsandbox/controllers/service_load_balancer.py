"""Addresses for Services of type LoadBalancer, as a cloud's controller gives them.

Options: `load_balancer_ranges`, a dict with `public` and `internal` ranges (CIDR). Without it there is
no cloud and such Services stay pending. Rules and texts: k8s.io/cloud-provider, controllers/service.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, split_key

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
ADDRESS = "service.beta.kubernetes.io/azure-load-balancer-ipv4"


class ServiceLoadBalancer(Controller):
    """Gives LoadBalancer Services an address each."""

    name = "service-controller"
    workers = 1
    user_agent = "cloud-controller-manager"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.ranges: dict[str, str] = options.get("load_balancer_ranges") or {}
        self.recorder = EventRecorder(self.client, "service-controller")
        self._given: dict[str, str] = {}  # Service key → address
        self.services = informers.of("v1", "services")
        if self.ranges:
            self.follow(self.services)

    async def reconcile(self, key: str) -> None:
        service = self.services.get(key)
        if service is None:
            self._given.pop(key, None)
            return
        spec, metadata = service["spec"], service["metadata"]
        namespace, name = split_key(key)
        url = path("v1", "services", namespace, name)
        finalizers = metadata.get("finalizers") or []
        wants = spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")
        if not wants or metadata.get("deletionTimestamp"):
            if FINALIZER in finalizers:
                await self.recorder.event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
                self._given.pop(key, None)
                if not metadata.get("deletionTimestamp"):
                    await self.client.patch(f"{url}/status", {"status": {"loadBalancer": None}})
                left = [entry for entry in finalizers if entry != FINALIZER]
                await self.client.patch(url, {"metadata": {"finalizers": left or None}})
                await self.recorder.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
            return
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        if ingress:
            self._given.setdefault(key, ingress[0].get("ip", ""))
            return
        await self.recorder.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        address = self._address(key, service)
        if not address:
            text = "Error syncing load balancer: failed to ensure load balancer: no address is left in the range"
            await self.recorder.event(service, "Warning", "SyncLoadBalancerFailed", text)
            self.queue.add_after(key, 30)
            return
        if FINALIZER not in finalizers:
            await self.client.patch(url, {"metadata": {"finalizers": [*finalizers, FINALIZER]}})
        status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        await self.client.patch(f"{url}/status", {"status": status})
        await self.recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")

    def _address(self, key: str, service: Object) -> str:
        annotations = service["metadata"].get("annotations") or {}
        asked = annotations.get(ADDRESS) or service["spec"].get("loadBalancerIP")
        if asked:
            self._given[key] = asked
            return str(asked)
        if self._given.get(key):
            return self._given[key]
        internal = annotations.get(INTERNAL, "").lower() == "true"
        cidr = self.ranges.get("internal" if internal else "public")
        if not cidr:
            return ""
        for taken in self.services.list():
            for entry in ((taken.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
                namespace, name = taken["metadata"]["namespace"], taken["metadata"]["name"]
                self._given.setdefault(f"{namespace}/{name}", entry.get("ip", ""))
        used = set(self._given.values())
        for address in ipaddress.ip_network(cidr).hosts():
            if str(address) not in used:
                self._given[key] = str(address)
                return str(address)
        return ""
