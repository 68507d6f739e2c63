"""Objects of Azure and Kubernetes as rows, with kubectl's words for their state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from labkit.views.table import Row

Object = Mapping[str, Any]


def node(item: Object) -> Row:
    """A node: pool, mode, zone, whether it is ready, taints, version."""
    metadata, spec, status = item.get("metadata") or {}, item.get("spec") or {}, item.get("status") or {}
    labels = metadata.get("labels") or {}
    info = status.get("nodeInfo") or {}
    return {
        "node": metadata.get("name"),
        "pool": labels.get("kubernetes.azure.com/agentpool"),
        "mode": labels.get("kubernetes.azure.com/mode"),
        "zone": labels.get("topology.kubernetes.io/zone"),
        "status": node_status(item),
        "taints": [taint_text(taint) for taint in spec.get("taints") or []],
        "version": info.get("kubeletVersion"),
    }


def node_status(item: Object) -> str:
    """Ready, NotReady or Unknown, and SchedulingDisabled beside it, as kubectl says it."""
    conditions = (item.get("status") or {}).get("conditions") or []
    ready = next((condition.get("status") for condition in conditions if condition.get("type") == "Ready"), None)
    word = {"True": "Ready", "False": "NotReady"}.get(str(ready), "Unknown")
    return f"{word},SchedulingDisabled" if (item.get("spec") or {}).get("unschedulable") else word


def taint_text(taint: Object) -> str:
    """key=value:Effect, or key:Effect without a value."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def pod(item: Object) -> Row:
    """A pod: status, node, and why it is not on one."""
    metadata, spec, status = item.get("metadata") or {}, item.get("spec") or {}, item.get("status") or {}
    return {
        "pod": metadata.get("name"),
        "namespace": metadata.get("namespace"),
        "status": pod_status(item),
        "node": spec.get("nodeName"),
        "why": _why(status),
    }


def pod_status(item: Object) -> str:
    """Terminating, the reason of a container that waits, or the phase."""
    status = item.get("status") or {}
    if (item.get("metadata") or {}).get("deletionTimestamp"):
        return "Terminating"
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _why(status: Object) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason") or "")
    return ""


def event(item: Object) -> Row:
    """An event: when, what, about what, and its message."""
    about = item.get("involvedObject") or item.get("regarding") or {}
    return {
        "last": event_time(item)[:19].replace("T", " "),
        "type": item.get("type"),
        "reason": item.get("reason"),
        "object": f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        "message": item.get("message") or item.get("note"),
    }


def event_time(item: Object) -> str:
    """When an event was last seen, as the API writes times: texts that sort as the times do."""
    made = (item.get("metadata") or {}).get("creationTimestamp")
    return str(item.get("lastTimestamp") or item.get("eventTime") or made or "")


def agent_pool(item: Object) -> Row:
    """A node pool as Azure answers it, either in a cluster or by itself."""
    pool = item.get("properties") or item
    return {
        "pool": item.get("name"),
        "mode": pool.get("mode"),
        "nodes": pool.get("count"),
        "autoscaling": _bounds(pool),
        "size": pool.get("vmSize"),
        "zones": pool.get("availabilityZones"),
        "surge": (pool.get("upgradeSettings") or {}).get("maxSurge"),
        "taints": pool.get("nodeTaints"),
        "state": pool.get("provisioningState"),
        "version": pool.get("currentOrchestratorVersion") or pool.get("orchestratorVersion"),
    }


def _bounds(pool: Object) -> str:
    return f"{pool.get('minCount')} to {pool.get('maxCount')}" if pool.get("enableAutoScaling") else "off"


def resource(item: Object) -> Row:
    """Any resource of Azure as lists have it, which is without its properties: name, type, region."""
    return {"resource": item.get("name"), "type": item.get("type"), "region": item.get("location")}


def subnet(item: Object) -> Row:
    """A subnet: its range, and to whom it is delegated."""
    properties = item.get("properties") or {}
    delegations = [(entry.get("properties") or {}).get("serviceName") for entry in properties.get("delegations") or []]
    return {
        "subnet": item.get("name"),
        "range": properties.get("addressPrefix") or properties.get("addressPrefixes"),
        "delegated to": delegations,
        "state": properties.get("provisioningState"),
    }


def log(columns: Sequence[str]) -> Callable[[Iterable[Any]], Row]:
    """A row of a log query, by the names of its columns; times to the second, as reading them is enough."""

    def row(cells: Iterable[Any]) -> Row:
        return {
            column: f"{cell:%Y-%m-%d %H:%M:%S}" if isinstance(cell, datetime) else cell
            for column, cell in zip(columns, cells, strict=True)
        }

    return row
