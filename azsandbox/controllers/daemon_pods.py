"""The pods of a DaemonSet: which nodes want one, and what is added to the template for it.

Source of the rules: Kubernetes 1.35, pkg/controller/daemon and its util.
"""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.controllers.node_matching import NO_SCHEDULE, node_matches_pod, untolerated
from azsandbox.controllers.objects import annotations_of, copy_of, labels_of, name_of, scaled

HASH_LABEL = "controller-revision-hash"
GENERATION_LABEL = "pod-template-generation"
GENERATION = "deprecated.daemonset.template.generation"

_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


def with_tolerations(spec: Object) -> Object:
    """A copy of a pod spec that tolerates what no daemon minds."""
    spec = copy_of(spec)
    tolerations = spec.setdefault("tolerations", [])
    for key, effect in (*_TOLERATED, *((_NETWORK,) if spec.get("hostNetwork") else ())):
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in tolerations:
            tolerations.append(toleration)
    return spec


def template_of(daemon_set: Object, hash_label: str) -> Object:
    """The template of the set's pods, without the node."""
    template = copy_of(daemon_set["spec"]["template"])
    template["spec"] = with_tolerations(template["spec"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    generation = generation_of(daemon_set)
    if generation is not None:
        labels[GENERATION_LABEL] = generation
    labels[HASH_LABEL] = hash_label
    return template


def bind_to(pod: Object, node: str) -> None:
    """Lets the scheduler put a pod on one node only. In place."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = pod["spec"].setdefault("affinity", {}).setdefault("nodeAffinity", {})
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [term]}


def target_of(pod: Object) -> str:
    """The node that a pod is on or is meant for; "" if none."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""


def fits(daemon_set: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod should be made on the node, and whether one that runs there may stay."""
    template = daemon_set["spec"]["template"]["spec"]
    if template.get("nodeName") and template["nodeName"] != name_of(node):
        return False, False
    spec = with_tolerations(template)
    if not node_matches_pod(spec, labels_of(node), name_of(node)):
        return False, False
    taints = node["spec"].get("taints") or ()
    if untolerated(spec["tolerations"], taints, NO_SCHEDULE) is None:
        return True, True
    return False, untolerated(spec["tolerations"], taints, ("NoExecute",)) is None


def generation_of(daemon_set: Object) -> str | None:
    """The template generation that pods made by older versions carry."""
    text = annotations_of(daemon_set).get(GENERATION)
    return text if text is not None and text.lstrip("-").isdigit() else None


def is_updated(pod: Object, hash_label: str, generation: str | None) -> bool:
    """Whether a pod is of the present template."""
    labels = labels_of(pod)
    same_generation = generation is not None and labels.get(GENERATION_LABEL) == generation
    return same_generation or labels.get(HASH_LABEL) == hash_label


def oldest_first(pod: Object) -> tuple[bool, str, str]:
    """Sort key: pods on a node first, then by age and name."""
    return not pod["spec"].get("nodeName"), str(pod["metadata"].get("creationTimestamp") or ""), name_of(pod)


def rolling_counts(daemon_set: Object, desired: int) -> tuple[int, int]:
    """Pods that may be too many, and pods that may be missing, in a rolling update over `desired` nodes."""
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") != "RollingUpdate" or rolling is None:
        surge = unavailable = 0
    else:
        surge = scaled(rolling.get("maxSurge"), desired, round_up=True)
        unavailable = scaled(rolling.get("maxUnavailable", 1), desired, round_up=True)
    if desired > 0 and not surge and not unavailable:
        unavailable = 1
    return surge, unavailable


def allows_surge(daemon_set: Object) -> bool:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    return strategy.get("type") == "RollingUpdate" and scaled(rolling.get("maxSurge"), 1, round_up=True) > 0
