"""Endpoints of Services that have a selector: still kept, though deprecated.

Rules: k8s.io/kubernetes, pkg/controller/endpoint.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers, split_key
from azsandbox.controllers.service_pods import (
    HEADLESS,
    follow_pods,
    hostname_of,
    is_headless,
    pods_behind,
    serving,
    target_port,
    target_reference,
)

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MOST_ADDRESSES = 1000


def _address_key(address: Object) -> tuple[Any, ...]:
    return int(ipaddress.ip_address(address["ip"])), (address.get("targetRef") or {}).get("uid", "")


def subsets_of(service: Object, pods: list[Object]) -> list[Object]:
    """The Service's endpoints, grouped by the ports that they share."""
    by_ports: dict[tuple[Any, ...], Object] = {}
    tolerant = bool(service["spec"].get("publishNotReadyAddresses"))
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp") and not tolerant:
            continue
        address: Object = {"ip": pod["status"]["podIP"], "targetRef": target_reference(pod)}
        if pod["spec"].get("nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        if hostname_of(pod, service):
            address["hostname"] = hostname_of(pod, service)
        kind = "addresses" if tolerant or serving(pod) else "notReadyAddresses"
        ports: list[Object] = []
        for port in service["spec"].get("ports") or ():
            number = target_port(port, pod)
            if number is None:
                continue
            made = {"port": number, "protocol": port.get("protocol") or "TCP"}
            for key in ("name", "appProtocol"):
                if port.get(key):
                    made[key] = port[key]
            ports.append(made)
        if not ports and not is_headless(service):
            continue
        if not ports and service["spec"].get("ports"):
            continue
        # each port by itself first, as RepackSubsets does: addresses with the same set of ports meet in one subset
        group = tuple(sorted((p.get("name", ""), p["port"], p["protocol"]) for p in ports))
        subset = by_ports.setdefault(group, {"addresses": [], "notReadyAddresses": [], "ports": ports})
        subset[kind].append(address)
    found = []
    for group in sorted(by_ports):
        subset = by_ports[group]
        for kind in ("addresses", "notReadyAddresses"):
            subset[kind].sort(key=_address_key)
        found.append({name: value for name, value in subset.items() if value})
    return found


class EndpointsController(Controller):
    """Keeps the Endpoints of each Service with a selector."""

    name = "endpoint-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.services = self.follow(informers.of("v1", "services"))
        self.pods = informers.of("v1", "pods")
        self.endpoints = self.follow(informers.of("v1", "endpoints"))
        follow_pods(self.pods, self.services, self.queue.add)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service, found = self.services.get(key), self.endpoints.get(key)
        url = path("v1", "endpoints", namespace)
        if service is None:
            if found is not None and ((found["metadata"].get("labels") or {}).get(MANAGED_BY)):
                await self.client.gone(f"{url}/{name}")
            return
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        labels = {**(service["metadata"].get("labels") or {}), MANAGED_BY: "endpoint-controller"}
        if is_headless(service):
            labels[HEADLESS] = ""
        else:
            labels.pop(HEADLESS, None)
        subsets = subsets_of(service, pods_behind(service, self.pods, terminating=False))
        metadata: Object = dict((found or {}).get("metadata") or {"name": name, "namespace": namespace})
        if found is not None and (metadata.get("labels") or {}) == labels and (found.get("subsets") or []) == subsets:
            return
        metadata["labels"] = labels
        metadata.pop("managedFields", None)
        wanted: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
        if found is None:
            await self.client.create(url, wanted)
        else:
            await self.client.update(f"{url}/{name}", wanted)
