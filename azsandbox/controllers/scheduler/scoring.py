"""Which of the nodes that fit is best: kube-scheduler's default scores and weights.

Rules: k8s.io/kubernetes, pkg/scheduler/framework/plugins/{noderesources,tainttoleration,nodeaffinity,…}.
Image locality is left out: nodes here hold no images.
"""

from __future__ import annotations

from collections.abc import Iterable

from azsandbox.controllers.client import Object
from azsandbox.controllers.node_matching import requirement_matches, tolerated
from azsandbox.controllers.scheduler import inter_pod_affinity, spreading
from azsandbox.controllers.scheduler.snapshot import NodeInfo, PodInfo

WEIGHTS = {"taints": 3, "node affinity": 2, "spreading": 2, "pod affinity": 2, "least allocated": 1, "balanced": 1}


def best(
    pod: PodInfo,
    candidates: list[NodeInfo],
    nodes: Iterable[NodeInfo],
    namespace_labels: dict[str, dict[str, str]],
    default_selector: Object | None,
    any_affinity: bool,
) -> NodeInfo:
    """The candidate with the highest score; the first of equals."""
    if len(candidates) == 1:
        return candidates[0]
    total = {node.name: least_allocated(pod, node) + balanced(pod, node) for node in candidates}

    def add(scores: dict[str, float], weight: int) -> None:
        for name, score in scores.items():
            total[name] += weight * score

    if any(node.taints for node in candidates):
        add(taint_scores(pod, candidates), WEIGHTS["taints"])
    add(node_affinity_scores(pod, candidates), WEIGHTS["node affinity"])
    soft = spreading.constraints_of(pod, "ScheduleAnyway")
    given = bool(soft)
    soft = soft or spreading.default_constraints(pod, default_selector)
    add(spreading.scores(pod, soft, candidates, nodes, all_labels=given), WEIGHTS["spreading"])
    if any_affinity:
        add(inter_pod_affinity.scores(pod, candidates, nodes, namespace_labels), WEIGHTS["pod affinity"])
    return max(candidates, key=lambda node: total[node.name])


def least_allocated(pod: PodInfo, node: NodeInfo) -> float:
    """0 to 100: how much CPU and memory would be free, by requests."""
    cpu, memory = pod.assumed_requests
    scores = []
    for asked, used, name in ((cpu, node.assumed_cpu, "cpu"), (memory, node.assumed_memory, "memory")):
        has = node.allocatable.get(name, 0)
        if has:
            scores.append(max(has - used - asked, 0) * 100 // has)
    return sum(scores) // len(scores) if scores else 0


def balanced(pod: PodInfo, node: NodeInfo) -> float:
    """0 to 100: how even the shares of CPU and memory would be; 0 for a pod without requests, which changes nothing."""
    cpu, memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)
    if not cpu and not memory:
        return 0.0
    shares = []
    for asked, name in ((cpu, "cpu"), (memory, "memory")):
        has = node.allocatable.get(name, 0)
        if has:
            shares.append(min((node.requested.get(name, 0) + asked) / has, 1.0))
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
    return float(int((1 - deviation) * 100))


def taint_scores(pod: PodInfo, candidates: list[NodeInfo]) -> dict[str, float]:
    """0 to 100: fewer taints of PreferNoSchedule that are not tolerated."""
    bearing = [t for t in pod.tolerations if t.get("effect") in (None, "", "PreferNoSchedule")]
    raw = {
        node.name: sum(1 for t in node.taints if t.get("effect") == "PreferNoSchedule" and not tolerated(bearing, t))
        for node in candidates
    }
    high = max(raw.values())
    return {name: 100.0 - (100 * value // high if high else 0) for name, value in raw.items()}


def node_affinity_scores(pod: PodInfo, candidates: list[NodeInfo]) -> dict[str, float]:
    """0 to 100: the weight of the preferred node affinities that a node meets; {} if there are none."""
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    if not preferred:
        return {}
    raw = {
        node.name: sum(entry["weight"] for entry in preferred if _preferred(entry["preference"], node))
        for node in candidates
    }
    high = max(raw.values())
    return {name: float(100 * value // high) if high else 0.0 for name, value in raw.items()}


def _preferred(term: Object, node: NodeInfo) -> bool:
    # unlike a required one, an empty preference matches every node
    return all(requirement_matches(r, node.labels) for r in term.get("matchExpressions") or ()) and all(
        requirement_matches(r, {"metadata.name": node.name}) for r in term.get("matchFields") or ()
    )
