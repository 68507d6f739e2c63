"""Conditions that a kubelet reports of its node, and its lease.

Texts: k8s.io/kubernetes, pkg/kubelet/nodestatus.
"""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.controllers.events import micro_timestamp

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
HEARTBEAT_SECONDS = 40.0  # one write a node in that time, however many heartbeats a kubelet would send

_HEALTHY = (
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
_ROUTE = ("NetworkUnavailable", "False", "RouteCreated", "RouteController created a route")


def conditions(now: str, since: str, network: bool = False) -> list[Object]:
    """The conditions of a healthy node since `since`, seen at `now`; `network`: also that a route is there."""
    return [
        {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }
        for kind, status, reason, message in (*_HEALTHY, *((_ROUTE,) if network else ()))
    ]


def is_ready(node: Object) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in (node.get("status") or {}).get("conditions") or ()
    )


def lease(node: Object) -> Object:
    """A new lease of a node."""
    metadata = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": metadata["name"], "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": metadata["name"],
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": micro_timestamp(),
        },
    }
