"""IPAddress objects: what the API server notes of the cluster IPs that it gave to Services.

Rules: k8s.io/kubernetes, pkg/registry/core/service/ipallocator; repairs: its controller/repairip.go.
"""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import Object

RESOURCE = "ipaddresses.networking.k8s.io"
FAMILY, MANAGED_BY = "ipaddress.kubernetes.io/ip-family", "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"


def note(server: Any, new: Object | None, old: Object | None) -> None:
    """After a write of a Service: its addresses are noted, and those that it no longer has are not."""
    has, had = _addresses(new), _addresses(old)
    for address in had - has:
        _forget(server, address)
    for address in has - had:
        assert new is not None
        _add(server, address, new)


def repair(server: Any) -> None:
    """Notes what is missing, and forgets what no Service has."""
    known = {found["metadata"]["name"]: found for found in server.peek_list(RESOURCE)}
    used: set[str] = set()
    for service in server.peek_list("services"):
        used |= _addresses(service)
        for address in _addresses(service) - known.keys():
            _add(server, address, service)
    for name, found in known.items():
        if name not in used and (found["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER:
            _forget(server, name)


def _addresses(service: Object | None) -> set[str]:
    given = ((service or {}).get("spec") or {}).get("clusterIPs") or []
    return {str(ipaddress.ip_address(address)) for address in given if address and address != "None"}


def _add(server: Any, address: str, service: Object) -> None:
    resource, metadata = server.resource(RESOURCE), service["metadata"]
    family = f"IPv{ipaddress.ip_address(address).version}"
    found: Object = {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": now(),
            "labels": {FAMILY: family, MANAGED_BY: MANAGER},
        },
        "spec": {
            "parentRef": {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]},
        },
    }
    server.record_update(resource, found, None, "kube-apiserver", "")
    try:
        server.registry.insert(resource, found)
    except StatusError as error:
        if error.code != 409:  # somebody made it by hand
            raise


def _forget(server: Any, address: str) -> None:
    found = server.peek(RESOURCE, "", address)
    if found is not None:
        server.registry.remove(server.resource(RESOURCE), found)
