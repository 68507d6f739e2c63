"""Volumes of a pod: whether its claims can be used on a node, and binding those that wait for one.

Rules and texts: k8s.io/kubernetes, pkg/scheduler/framework/plugins/volumebinding, volumezone,
volumerestrictions and nodevolumelimits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Informer
from azsandbox.controllers.node_matching import selector_matches
from azsandbox.controllers.scheduler.results import Rejection
from azsandbox.controllers.scheduler.snapshot import NodeInfo, PodInfo
from azsandbox.controllers.storage.matching import (
    NO_PROVISIONER,
    claim_class,
    find_volume,
    is_bound,
    is_delayed,
    volume_fits_node,
)

BINDING, ZONES, LIMITS, RESTRICTIONS = "VolumeBinding", "VolumeZone", "NodeVolumeLimits", "VolumeRestrictions"
ZONE_LABELS = (
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
)
_GENERAL = dict(zip(ZONE_LABELS[:2], ZONE_LABELS[2:], strict=True))

_NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
_BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind"
_NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
_ZONE = Rejection(ZONES, ("node(s) had no available volume zone",), unresolvable=True)
_LIMIT = Rejection(LIMITS, ("node(s) exceed max volume count",))
_ONCE_POD = Rejection(
    RESTRICTIONS,
    (
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use "
        "by another pod",
    ),
)


@dataclass(frozen=True)
class VolumeSources:
    """The caches that volumes are looked up in."""

    claims: Informer
    volumes: Informer
    classes: Informer
    csi_nodes: Informer


@dataclass
class Bindings:
    """What must be bound before a pod can go to a node: claims to volumes, and claims to be provisioned there."""

    static: list[tuple[Object, Object]] = field(default_factory=list)
    dynamic: list[Object] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.static or self.dynamic)


class VolumeChecks:
    """The claims of one pod in one cycle."""

    def __init__(self, pod: PodInfo, sources: VolumeSources, users: Callable[[str], Iterable[PodInfo]]) -> None:
        self.pod, self.sources = pod, sources
        self.bound: list[Object] = []
        self.delayed: list[Object] = []
        self.by_node: dict[str, Bindings] = {}
        self.once_pod_conflicts: set[str] = set()
        self._zones: list[tuple[str, set[str]]] = []
        self._users = users

    def prepare(self) -> Rejection | None:
        """Looks the claims up; what is wrong with them holds for every node."""
        immediate = []
        for name, ephemeral in self.pod.claims:
            claim = self.sources.claims.get(f"{self.pod.namespace}/{name}")
            problem = self._problem(claim, name, ephemeral)
            if problem or claim is None:
                return Rejection(BINDING, (problem,), unresolvable=True)
            if is_bound(claim):
                self.bound.append(claim)
            elif is_delayed(claim, self.sources.classes.get) and not claim["spec"].get("volumeName"):
                self.delayed.append(claim)
            else:
                immediate.append(claim)
            if claim["spec"].get("accessModes") == ["ReadWriteOncePod"]:
                self.once_pod_conflicts |= {
                    other.uid for other in self._users(f"{self.pod.namespace}/{name}") if other.uid != self.pod.uid
                }
        if immediate:
            return Rejection(BINDING, ("pod has unbound immediate PersistentVolumeClaims",), unresolvable=True)
        for claim in self.bound:
            volume = self.sources.volumes.get(claim["spec"]["volumeName"])
            labels = ((volume or {}).get("metadata") or {}).get("labels") or {}
            self._zones += [(key, set(labels[key].split("__"))) for key in ZONE_LABELS if key in labels]
        return None

    def _problem(self, claim: Object | None, name: str, ephemeral: bool) -> str:
        if claim is None:
            if ephemeral:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            return f'persistentvolumeclaim "{name}" not found'
        if (claim.get("status") or {}).get("phase") == "Lost":
            volume = claim["spec"].get("volumeName", "")
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
        owners = claim["metadata"].get("ownerReferences") or ()
        if ephemeral and not any(owner.get("uid") == self.pod.uid for owner in owners):
            return f"PVC {self.pod.namespace}/{name} was not created for pod {self.pod.key} (pod is not owner)"
        return ""

    def check(self, node: NodeInfo) -> Rejection | None:
        """Refuses a node that the volumes cannot be used from."""
        if self.once_pod_conflicts:
            return _ONCE_POD
        return self._limits(node) or self._binding(node) or self._zone(node)

    def _limits(self, node: NodeInfo) -> Rejection | None:
        csi_node = self.sources.csi_nodes.get(node.name)
        limits = {
            driver["name"]: driver["allocatable"]["count"]
            for driver in ((csi_node or {}).get("spec") or {}).get("drivers") or ()
            if (driver.get("allocatable") or {}).get("count") is not None
        }
        if not limits:
            return None
        wanted: dict[str, set[str]] = {}
        for driver, handle in self._attached(self.pod):
            wanted.setdefault(driver, set()).add(handle)
        present: dict[str, set[str]] = {}
        for other in node.pods.values():
            if other.claims:
                for driver, handle in self._attached(other):
                    present.setdefault(driver, set()).add(handle)
        for driver, handles in wanted.items():
            there = present.get(driver, set())
            new = handles - there
            if driver in limits and new and len(there) + len(new) > limits[driver]:
                return _LIMIT
        return None

    def _attached(self, pod: PodInfo) -> Iterable[tuple[str, str]]:
        for name, _ in pod.claims:
            claim = self.sources.claims.get(f"{pod.namespace}/{name}")
            if claim is None:
                continue
            volume = self.sources.volumes.get(claim["spec"].get("volumeName") or "")
            if volume is not None and volume["spec"].get("csi"):
                yield volume["spec"]["csi"]["driver"], volume["spec"]["csi"]["volumeHandle"]
            elif volume is None:
                class_ = self.sources.classes.get(claim_class(claim))
                if class_ is not None:
                    yield class_["provisioner"], f"{pod.namespace}/{name}"

    def _binding(self, node: NodeInfo) -> Rejection | None:
        reasons: list[str] = []
        for claim in self.bound:
            volume = self.sources.volumes.get(claim["spec"]["volumeName"])
            if volume is None:
                reasons.append(_NO_VOLUME)
                break
            if not volume_fits_node(volume, node.labels, node.name):
                reasons.append(_NODE_CONFLICT)
                break
        bindings = Bindings()
        taken: set[str] = set()
        for claim in self.delayed:
            selected = (claim["metadata"].get("annotations") or {}).get("volume.kubernetes.io/selected-node")
            if selected and selected != node.name:
                reasons.append(_BIND_CONFLICT)
                break
            volume = None
            if not selected:
                fits = [
                    v
                    for v in self.sources.volumes.list()
                    if v["metadata"]["name"] not in taken and volume_fits_node(v, node.labels, node.name)
                ]
                volume = find_volume(claim, fits)
            if volume is not None:
                taken.add(volume["metadata"]["name"])
                bindings.static.append((claim, volume))
            elif self._provisionable(claim, node):
                bindings.dynamic.append(claim)
            else:
                reasons.append(_BIND_CONFLICT)
                break
        if reasons:
            return Rejection(BINDING, tuple(dict.fromkeys(reasons)), unresolvable=True)
        self.by_node[node.name] = bindings
        return None

    def _provisionable(self, claim: Object, node: NodeInfo) -> bool:
        class_ = self.sources.classes.get(claim_class(claim))
        if class_ is None or class_.get("provisioner") in ("", NO_PROVISIONER, None):
            return False
        topologies = class_.get("allowedTopologies")
        if not topologies:
            return True
        terms = [
            {
                "matchExpressions": [
                    {"key": e["key"], "operator": "In", "values": e.get("values") or []}
                    for e in topology.get("matchLabelExpressions") or ()
                ]
            }
            for topology in topologies
        ]
        return selector_matches({"nodeSelectorTerms": terms}, node.labels, node.name)

    def _zone(self, node: NodeInfo) -> Rejection | None:
        if not self._zones or not any(label in node.labels for label in ZONE_LABELS):
            return None
        for key, values in self._zones:
            value = node.labels.get(key, node.labels.get(_GENERAL.get(key, ""), ""))
            if value not in values:
                return _ZONE
        return None
