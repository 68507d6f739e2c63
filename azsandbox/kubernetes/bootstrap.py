"""What a new cluster holds: namespaces, RBAC, priority classes, flow control, the Service kubernetes."""

from __future__ import annotations

import copy
import uuid
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

from azsandbox.kubernetes.allocators import ip_addresses
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import GroupVersionKind, Object

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


@cache
def objects(minor: str) -> tuple[Object, ...]:
    """The objects of a new cluster, as data has them."""
    found = files("azsandbox") / "data" / "kubernetes" / minor / "bootstrap-objects.json"
    return tuple(orjson.loads(found.read_bytes()))


def fill(server: ApiServer) -> None:
    """Stores what is missing of a new cluster's objects. Run at every start: what someone changed stays."""
    for template in objects(server.minor):
        resource = server.resources.of_kind(GroupVersionKind.of(template))
        if resource is None:
            continue
        metadata = template["metadata"]
        if server.registry.record(resource, metadata.get("namespace", ""), metadata["name"]) is not None:
            continue
        obj = copy.deepcopy(template)
        obj["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        server.default(resource, obj)
        server.registry.insert(resource, obj)
    ip_addresses.repair(server)
    server.registry.bucket.compact()
