"""Fields behind feature gates that are off: they are dropped when an object is written, unless it has them already.

Source: k8s.io/kubernetes 1.35, pkg/features/kube_features.go and the dropDisabledFields of pkg/api/pod and
pkg/registry/*/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from azsandbox.kubernetes.request import Object

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
# gate → the fields of a pod's spec; [] stands for every item of a list
_POD_SPEC: dict[str, tuple[str, ...]] = {
    "ClusterTrustBundleProjection": ("volumes[].projected.sources[].clusterTrustBundle",),
    "PodCertificateRequest": ("volumes[].projected.sources[].podCertificate",),
    "GenericWorkload": ("workloadRef",),
    "ContainerStopSignals": tuple(f"{name}[].lifecycle.stopSignal" for name in _CONTAINERS),
}
_POD_SPECS: dict[tuple[str, str], str] = {
    ("", "Pod"): "spec",
    ("", "PodTemplate"): "template.spec",
    ("", "ReplicationController"): "spec.template.spec",
    ("apps", "Deployment"): "spec.template.spec",
    ("apps", "ReplicaSet"): "spec.template.spec",
    ("apps", "DaemonSet"): "spec.template.spec",
    ("apps", "StatefulSet"): "spec.template.spec",
    ("batch", "Job"): "spec.template.spec",
    ("batch", "CronJob"): "spec.jobTemplate.spec.template.spec",
}
_DEVICE_REQUESTS = ("devices.requests[].exactly", "devices.requests[].firstAvailable[]")
_CLAIM_SPEC: dict[str, tuple[str, ...]] = {
    "DRADeviceTaints": tuple(f"{request}.tolerations" for request in _DEVICE_REQUESTS),
    "DRAConsumableCapacity": (
        *(f"{request}.capacity" for request in _DEVICE_REQUESTS),
        "devices.constraints[].distinctAttribute",
    ),
}
_OTHERS: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("", "Node"): {"NodeDeclaredFeatures": ("status.declaredFeatures",)},
    ("apps", "StatefulSet"): {"MaxUnavailableStatefulSet": ("spec.updateStrategy.rollingUpdate.maxUnavailable",)},
    ("coordination.k8s.io", "Lease"): {
        "CoordinatedLeaderElection: strategy": ("spec.strategy",),
        "CoordinatedLeaderElection: preferredHolder": ("spec.preferredHolder",),
    },
    ("storage.k8s.io", "CSIDriver"): {"VolumeLimitScaling": ("spec.preventPodSchedulingIfMissing",)},
    ("resource.k8s.io", "DeviceClass"): {"DRAExtendedResource": ("spec.extendedResourceName",)},
    ("resource.k8s.io", "ResourceClaim"): {
        gate: tuple(f"spec.{p}" for p in paths) for gate, paths in _CLAIM_SPEC.items()
    },
    ("resource.k8s.io", "ResourceClaimTemplate"): {
        gate: tuple(f"spec.spec.{p}" for p in paths) for gate, paths in _CLAIM_SPEC.items()
    },
    ("resource.k8s.io", "ResourceSlice"): {
        "DRADeviceTaints": ("spec.devices[].taints",),
        "DRAPartitionableDevices": (
            "spec.sharedCounters",
            "spec.perDeviceNodeSelection",
            "spec.devices[].consumesCounters",
            "spec.devices[].nodeName",
            "spec.devices[].nodeSelector",
            "spec.devices[].allNodes",
        ),
        "DRADeviceBindingConditions": (
            "spec.devices[].bindingConditions",
            "spec.devices[].bindingFailureConditions",
            "spec.devices[].bindsToNode",
        ),
        "DRAConsumableCapacity": ("spec.devices[].allowMultipleAllocations",),
    },
}


@cache
def _gates(group: str, kind: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """The fields of a kind by gate, each as the parts of its path."""
    found = list(_OTHERS.get((group, kind), {}).values())
    where = _POD_SPECS.get((group, kind))
    if where:
        found += [tuple(f"{where}.{path}" for path in paths) for paths in _POD_SPEC.values()]
    return tuple(tuple(tuple(path.split(".")) for path in paths) for paths in found)


def drop(group: str, kind: str, new: Object, old: Object | None) -> None:
    """Takes the fields of gates that are off out of `new`, in place, but for those that `old` uses."""
    for paths in _gates(group, kind):
        holders = [(holder, path[-1]) for path in paths for holder in _holders(new, path[:-1]) if path[-1] in holder]
        if holders and not (old and any(path[-1] in holder for path in paths for holder in _holders(old, path[:-1]))):
            for holder, name in holders:
                del holder[name]
            for path in paths:
                _without_empty(new, path)


def _without_empty(new: Object, path: tuple[str, ...]) -> None:
    """A lifecycle of which nothing is left goes, too."""
    if path[-2:-1] == ("lifecycle",):
        for container in _holders(new, path[:-2]):
            if container.get("lifecycle") == {}:
                del container["lifecycle"]


def _holders(value: Any, path: tuple[str, ...]) -> Iterator[Object]:
    """The objects that a path leads to."""
    if not isinstance(value, dict):
        return
    if not path:
        yield value
        return
    inner = value.get(path[0].removesuffix("[]"))
    for item in (inner or ()) if path[0].endswith("[]") else (inner,):
        yield from _holders(item, path[1:])
