"""EndpointSlices of Services that have a selector.

Rules: k8s.io/endpointslice (reconciler) and k8s.io/kubernetes, pkg/controller/endpointslice.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers, split_key
from azsandbox.controllers.objects import controller_reference
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

API = "discovery.k8s.io/v1"
MANAGED_BY, SERVICE_NAME = "endpointslice.kubernetes.io/managed-by", "kubernetes.io/service-name"
CONTROLLER = "endpointslice-controller.k8s.io"
MOST_ENDPOINTS = 100  # in one slice

PortKey = tuple[tuple[str, int | None, str, str], ...]


def endpoint_of(pod: Object, service: Object, node: Object | None) -> Object:
    """A pod as an endpoint of a Service."""
    going = bool(pod["metadata"].get("deletionTimestamp"))
    ready = serving(pod)
    endpoint: Object = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": bool(service["spec"].get("publishNotReadyAddresses")) or (ready and not going),
            "serving": ready,
            "terminating": going,
        },
        "targetRef": target_reference(pod),
    }
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    zone = (((node or {}).get("metadata") or {}).get("labels") or {}).get("topology.kubernetes.io/zone")
    if zone:
        endpoint["zone"] = zone
    if hostname_of(pod, service):
        endpoint["hostname"] = hostname_of(pod, service)
    return endpoint


def ports_of(service: Object, pod: Object) -> list[Object]:
    """The Service's ports as this pod has them."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is None:
            continue
        made = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
        if port.get("appProtocol"):
            made["appProtocol"] = port["appProtocol"]
        found.append(made)
    return found


def port_key(ports: list[Object] | None) -> PortKey:
    """Identifies a set of ports."""
    return tuple(
        sorted(
            (p.get("name") or "", p.get("port"), p.get("protocol") or "TCP", p.get("appProtocol") or "")
            for p in ports or ()
        )
    )


def distribute(
    wanted: dict[PortKey, tuple[list[Object], list[Object]]], slices: list[Object]
) -> tuple[list[tuple[list[Object], list[Object]]], list[tuple[Object, list[Object]]], list[Object]]:
    """Slices to create (ports, endpoints), to update (slice, endpoints) and to delete.

    Endpoints stay in the slice they are in; new ones fill slices that change anyway, then new slices.
    """
    create: list[tuple[list[Object], list[Object]]] = []
    update: list[tuple[Object, list[Object]]] = []
    delete: list[Object] = []
    by_key: dict[PortKey, list[Object]] = {}
    for entry in slices:
        by_key.setdefault(port_key(entry.get("ports")), []).append(entry)
    for key, existing in by_key.items():
        if key not in wanted:
            delete += existing
    for key, (ports, endpoints) in wanted.items():
        left = {(e["addresses"][0], (e.get("targetRef") or {}).get("uid")): e for e in endpoints}
        kept: list[tuple[Object, list[Object]]] = []
        for entry in by_key.get(key, ()):
            mine = []
            for old in entry.get("endpoints") or ():
                identity = (old["addresses"][0], (old.get("targetRef") or {}).get("uid"))
                if identity in left:
                    mine.append(left.pop(identity))
            kept.append((entry, mine))
        rest = list(left.values())
        for _, mine in kept:
            room = MOST_ENDPOINTS - len(mine)
            if rest and room > 0:
                mine += rest[:room]
                rest = rest[room:]
        empty = [entry for entry, mine in kept if not mine]
        if len(empty) == len(kept) and not endpoints:
            empty = empty[1:]  # a Service always has a slice
        delete += empty
        update += [(entry, mine) for entry, mine in kept if entry not in empty]
        while rest:
            create.append((ports, rest[:MOST_ENDPOINTS]))
            rest = rest[MOST_ENDPOINTS:]
        if not kept and not endpoints:
            create.append((ports, []))
    return create, update, delete


class EndpointSliceController(Controller):
    """Keeps the slices of each Service with a selector."""

    name = "endpointslice-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.services = self.follow(informers.of("v1", "services"))
        self.pods = informers.of("v1", "pods")
        self.nodes = informers.of("v1", "nodes")
        self.slices = self.follow(informers.of(API, "endpointslices"), _service_key)
        follow_pods(self.pods, self.services, self.queue.add)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service = self.services.get(key)
        existing = [
            entry
            for entry in self.slices.list(namespace)
            if (entry["metadata"].get("labels") or {}).get(SERVICE_NAME) == name
            and (entry["metadata"].get("labels") or {}).get(MANAGED_BY) == CONTROLLER
            and not entry["metadata"].get("deletionTimestamp")
        ]
        url = path(API, "endpointslices", namespace)
        if service is None:
            for entry in existing:
                await self.client.gone(f"{url}/{entry['metadata']['name']}")
            return
        if service["metadata"].get("deletionTimestamp"):
            return
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        wanted: dict[PortKey, tuple[list[Object], list[Object]]] = {}
        for pod in pods_behind(service, self.pods, terminating=True):
            ports = ports_of(service, pod)
            endpoint = endpoint_of(pod, service, self.nodes.get(pod["spec"].get("nodeName") or ""))
            wanted.setdefault(port_key(ports), (ports, []))[1].append(endpoint)
        if not wanted:
            wanted[()] = ([], [])
        labels = self._labels(service)
        create, update, delete = distribute(wanted, existing)
        for entry, endpoints in update:
            same = (entry.get("endpoints") or []) == endpoints and entry["metadata"].get("labels") == labels
            if not same:
                metadata = {**entry["metadata"], "labels": labels}
                metadata.pop("managedFields", None)
                changed = {**entry, "metadata": metadata, "endpoints": endpoints or None}
                await self.client.update(f"{url}/{entry['metadata']['name']}", changed)
        for ports, endpoints in create:
            await self.client.create(
                url,
                {
                    "apiVersion": API,
                    "kind": "EndpointSlice",
                    "metadata": {
                        "generateName": f"{name}-",
                        "namespace": namespace,
                        "labels": labels,
                        "ownerReferences": [controller_reference(service, "v1", "Service")],
                    },
                    "addressType": (service["spec"].get("ipFamilies") or ["IPv4"])[0],
                    "endpoints": endpoints or None,
                    "ports": ports or None,
                },
            )
        for entry in delete:
            await self.client.gone(f"{url}/{entry['metadata']['name']}")

    @staticmethod
    def _labels(service: Object) -> dict[str, str]:
        own = (MANAGED_BY, SERVICE_NAME, HEADLESS)
        labels = {k: v for k, v in (service["metadata"].get("labels") or {}).items() if k not in own}
        labels |= {MANAGED_BY: CONTROLLER, SERVICE_NAME: service["metadata"]["name"]}
        if is_headless(service):
            labels[HEADLESS] = ""
        return labels


def _service_key(entry: Object) -> list[str]:
    labels = entry["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != CONTROLLER or not labels.get(SERVICE_NAME):
        return []
    return [f"{entry['metadata']['namespace']}/{labels[SERVICE_NAME]}"]
