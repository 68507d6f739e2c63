"""Pods and nodes as kwok's "fast" stages make them: ready at once, with no images and few fields.

Source: sigs.k8s.io/kwok v0.8.0, kustomize/stage/fast.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import controller_of
from azsandbox.controllers.kubelet.node_status import conditions

VERSION = "kwok-0.8.0"


def _status(container: Object, ready: bool, state: Object, **more: Any) -> Object:
    return {
        "name": container["name"],
        "state": state,
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
        "image": container["image"],
        "imageID": "",
        **more,
    }


def _condition(kind: str, now: str) -> Object:
    return {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": now}


def ready_status(pod: Object, host: str, address: str, now: str) -> Object:
    """The stage pod-ready."""
    spec = pod["spec"]
    running = {"running": {"startedAt": now}}
    ended = {"terminated": {"exitCode": 0, "finishedAt": now, "reason": "Completed", "startedAt": now}}
    kinds = ["Initialized", "Ready", "ContainersReady"]
    kinds += [gate["conditionType"] for gate in spec.get("readinessGates") or ()]
    status: Object = {
        "phase": "Running",
        "conditions": [_condition(kind, now) for kind in kinds],
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "startTime": now,
        "containerStatuses": [_status(c, True, running) for c in spec["containers"]],
    }
    if address:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    inits = [
        _status(c, True, running, started=True) if c.get("restartPolicy") == "Always" else _status(c, True, ended)
        for c in spec.get("initContainers") or ()
    ]
    if inits:
        status["initContainerStatuses"] = inits
    return status


def complete_status(pod: Object, now: str) -> Object:
    """The stage pod-complete."""
    state = {"terminated": {"exitCode": 0, "finishedAt": now, "reason": "Completed", "startedAt": now}}
    statuses = [_status(c, False, state, started=False) for c in pod["spec"]["containers"]]
    return {"phase": "Succeeded", "containerStatuses": statuses}


def next_status(pod: Object, host: str, address: str, now: str) -> Object | None:
    """What a stage would write into the pod's status; None if none applies."""
    status = pod.get("status") or {}
    phase = status.get("phase")
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    if phase == "Pending" and not ready:
        return ready_status(pod, host, address, now)
    owners = [*(pod["metadata"].get("ownerReferences") or ()), controller_of(pod) or {}]
    if phase == "Running" and any(owner.get("kind") == "Job" for owner in owners):
        return complete_status(pod, now)
    return None


def initialized_node(node: Object, host: str, now: str) -> Object:
    """The stage node-initialize."""
    status = node.get("status") or {}
    default = {"cpu": "1k", "memory": "1Ti", "pods": "1M"}
    info = status.get("nodeInfo") or {}
    kinds = {a["type"] for a in status.get("addresses") or ()}
    addresses = list(status.get("addresses") or ())
    if "InternalIP" not in kinds:
        addresses.append({"type": "InternalIP", "address": host})
    if "Hostname" not in kinds:
        addresses.append({"type": "Hostname", "address": node["metadata"]["name"]})
    blank = ("bootID", "machineID", "osImage", "systemUUID")
    versions = ("containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion")
    return {
        "phase": "Running",
        "conditions": conditions(now, node["metadata"].get("creationTimestamp") or now, network=True),
        "addresses": addresses,
        "allocatable": status.get("allocatable") or default,
        "capacity": status.get("capacity") or default,
        "nodeInfo": {
            "architecture": info.get("architecture") or "amd64",
            "operatingSystem": info.get("operatingSystem") or "linux",
            **{key: info.get(key) or VERSION for key in versions if key != "kubeProxyVersion"},
            "kubeProxyVersion": info.get("kubeProxyVersion") or VERSION,
            **{key: info.get(key) or "" for key in blank},
        },
    }
