"""EndpointSlices that mirror Endpoints made by hand, for Services without a selector.

Rules: k8s.io/kubernetes, pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.endpoint_slices import API, MANAGED_BY, SERVICE_NAME, PortKey, distribute, port_key
from azsandbox.controllers.informer import Controller, Informers, split_key
from azsandbox.controllers.objects import controller_reference

CONTROLLER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"
MOST_ADDRESSES = 1000  # mirrored of one subset


def should_mirror(endpoints: Object) -> bool:
    """Whether Endpoints are mirrored at all."""
    metadata = endpoints["metadata"]
    labels = metadata.get("labels") or {}
    skips = labels.get(SKIP, "").lower() in ("1", "t", "true")
    return (
        not skips
        and not labels.get("endpoints.kubernetes.io/managed-by")
        and LEADER not in (metadata.get("annotations") or {})
    )


def mirrored(endpoints: Object) -> dict[str, dict[PortKey, tuple[list[Object], list[Object]]]]:
    """Ports and endpoints to mirror, by address type."""
    found: dict[str, dict[PortKey, tuple[list[Object], list[Object]]]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = [
            {
                "name": port.get("name") or "",
                "port": port["port"],
                "protocol": port.get("protocol") or "TCP",
                **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}),
            }
            for port in subset.get("ports") or ()
        ]
        addresses = [(a, True) for a in subset.get("addresses") or ()]
        addresses += [(a, False) for a in subset.get("notReadyAddresses") or ()]
        for address, ready in addresses[:MOST_ADDRESSES]:
            family = "IPv6" if ipaddress.ip_address(address["ip"]).version == 6 else "IPv4"
            endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
            for key in ("targetRef", "nodeName", "hostname"):
                if address.get(key):
                    endpoint[key] = address[key]
            group = found.setdefault(family, {}).setdefault(port_key(ports), (ports, []))
            group[1].append(endpoint)
    return found


class EndpointSliceMirroring(Controller):
    """Mirrors Endpoints into slices."""

    name = "endpointslicemirroring-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.endpoints = self.follow(informers.of("v1", "endpoints"))
        self.services = self.follow(informers.of("v1", "services"))
        self.slices = self.follow(informers.of(API, "endpointslices"), _endpoints_key)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        endpoints, service = self.endpoints.get(key), self.services.get(key)
        existing = [
            entry
            for entry in self.slices.list(namespace)
            if (entry["metadata"].get("labels") or {}).get(SERVICE_NAME) == name
            and (entry["metadata"].get("labels") or {}).get(MANAGED_BY) == CONTROLLER
        ]
        url = path(API, "endpointslices", namespace)
        mirrors = (
            endpoints is not None
            and service is not None
            and not service["spec"].get("selector")
            and should_mirror(endpoints)
        )
        if not mirrors or endpoints is None:
            for entry in existing:
                await self.client.gone(f"{url}/{entry['metadata']['name']}")
            return
        labels = {**(endpoints["metadata"].get("labels") or {}), SERVICE_NAME: name, MANAGED_BY: CONTROLLER}
        hidden = (LAST_CHANGE, "kubectl.kubernetes.io/last-applied-configuration")
        annotations = {k: v for k, v in (endpoints["metadata"].get("annotations") or {}).items() if k not in hidden}
        wanted = mirrored(endpoints)
        for family in {*wanted, *(entry["addressType"] for entry in existing)}:
            mine = [entry for entry in existing if entry["addressType"] == family]
            create, update, delete = distribute(wanted.get(family, {}), mine)
            for entry, found in update:
                metadata = {**entry["metadata"], "labels": labels}
                if (entry.get("endpoints") or []) != found or entry["metadata"].get("labels") != labels:
                    metadata.pop("managedFields", None)
                    changed = {**entry, "metadata": metadata, "endpoints": found}
                    await self.client.update(f"{url}/{entry['metadata']['name']}", changed)
            for ports, found in create:
                metadata = {
                    "generateName": f"{name}-",
                    "namespace": namespace,
                    "labels": labels,
                    "ownerReferences": [controller_reference(endpoints, "v1", "Endpoints")],
                }
                if annotations:
                    metadata["annotations"] = annotations
                await self.client.create(
                    url,
                    {
                        "apiVersion": API,
                        "kind": "EndpointSlice",
                        "metadata": metadata,
                        "addressType": family,
                        "endpoints": found,
                        "ports": ports,
                    },
                )
            for entry in delete:
                await self.client.gone(f"{url}/{entry['metadata']['name']}")


def _endpoints_key(entry: Object) -> list[str]:
    labels = entry["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != CONTROLLER or not labels.get(SERVICE_NAME):
        return []
    return [f"{entry['metadata']['namespace']}/{labels[SERVICE_NAME]}"]
