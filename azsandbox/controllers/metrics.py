"""Figures of CPU and memory for metrics.k8s.io, made up: nothing runs here that could be measured.

They follow from what a container requests, and sway a little with time, the same for the same container
and minute. A container uses 30 to 60 % of the CPU and 50 to 80 % of the memory it requests; one that
requests nothing uses 1 to 5 thousandths of a core and 8 to 32 MiB. A node adds 3 % for its own work.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math

from azsandbox.controllers.client import Object
from azsandbox.controllers.scheduler.requests import amount, amounts

MIB = 1024**2
WINDOW = "1m0s"  # a duration as Go writes it


def _share(identity: str, what: str) -> float:
    """A number from 0 to 1 that stays the same for an identity."""
    return int.from_bytes(hashlib.blake2b(f"{identity}/{what}".encode(), digest_size=4).digest(), "big") / 0xFFFFFFFF


def container_usage(pod: Object, container: Object, now: dt.datetime) -> tuple[int, int]:
    """CPU in thousandths of a core, and memory in bytes."""
    identity = f"{pod['metadata'].get('uid', '')}/{container['name']}"
    requests = amounts((container.get("resources") or {}).get("requests"))
    minute = now.timestamp() // 60
    sway = math.sin(minute / 7 + 6.28 * _share(identity, "phase"))
    cpu_share = 0.45 + 0.1 * (2 * _share(identity, "cpu") - 1) + 0.05 * sway
    memory_share = 0.65 + 0.12 * (2 * _share(identity, "memory") - 1) + 0.03 * sway
    cpu = requests["cpu"] * cpu_share if requests.get("cpu") else 1 + 4 * _share(identity, "cpu")
    memory = (
        requests["memory"] * memory_share if requests.get("memory") else (8 + 24 * _share(identity, "memory")) * MIB
    )
    return max(round(cpu), 1), int(memory) // 1024 * 1024


def _usage(cpu: int, memory: int) -> Object:
    return {"cpu": f"{cpu}m", "memory": f"{memory // 1024}Ki"}


def pod_metrics(pod: Object, now: dt.datetime) -> Object | None:
    """PodMetrics of a running pod; None for others."""
    status = pod.get("status") or {}
    if status.get("phase") != "Running":
        return None
    running = {s["name"] for s in status.get("containerStatuses") or () if "running" in s["state"]}
    containers = [
        {"name": c["name"], "usage": _usage(*container_usage(pod, c, now))}
        for c in pod["spec"]["containers"]
        if c["name"] in running
    ]
    metadata = pod["metadata"]
    return {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "creationTimestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            **({"labels": metadata["labels"]} if metadata.get("labels") else {}),
        },
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "window": WINDOW,
        "containers": containers,
    }


def node_metrics(node: Object, pods: list[Object], now: dt.datetime) -> Object:
    """NodeMetrics: the sum of the pods on it, and a little for itself."""
    metadata = node["metadata"]
    capacity = (node.get("status") or {}).get("capacity") or {}
    cpu = amount("cpu", capacity.get("cpu", "1")) * 0.03
    memory = amount("memory", capacity.get("memory", "1Gi")) * 0.03
    for pod in pods:
        if pod["spec"].get("nodeName") == metadata["name"] and (pod.get("status") or {}).get("phase") == "Running":
            for container in pod["spec"]["containers"]:
                used = container_usage(pod, container, now)
                cpu += used[0]
                memory += used[1]
    return {
        "metadata": {
            "name": metadata["name"],
            "creationTimestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            **({"labels": metadata["labels"]} if metadata.get("labels") else {}),
        },
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "window": WINDOW,
        "usage": _usage(round(cpu), int(memory)),
    }
