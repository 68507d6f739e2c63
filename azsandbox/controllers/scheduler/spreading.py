"""Topology spread constraints: how evenly a pod's like are spread over zones or hosts.

Rules: k8s.io/kubernetes, pkg/scheduler/framework/plugins/podtopologyspread.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object
from azsandbox.controllers.node_matching import NO_SCHEDULE, node_matches_pod, untolerated
from azsandbox.controllers.scheduler.results import Rejection
from azsandbox.controllers.scheduler.snapshot import NodeInfo, PodInfo
from azsandbox.kubernetes.selectors import LabelSelector, Requirement, from_object

PLUGIN = "PodTopologySpread"
TOO_SKEWED = "node(s) didn't match pod topology spread constraints"
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"

_SKEWED = Rejection(PLUGIN, (TOO_SKEWED,))
_NO_LABEL = Rejection(PLUGIN, (f"{TOO_SKEWED} (missing required label)",), unresolvable=True)


@dataclass
class Constraint:
    """One constraint, with how many like pods each domain has."""

    key: str
    max_skew: int
    min_domains: int
    selector: LabelSelector
    honor_affinity: bool = True
    honor_taints: bool = False
    itself: int = 0  # 1 if the pod is one of those it counts
    counts: dict[str, int] = field(default_factory=dict)

    def covers(self, pod: PodInfo, node: NodeInfo) -> bool:
        """Whether the node counts among the domains (node inclusion policies)."""
        if self.honor_affinity and not node_matches_pod(pod.spec, node.labels, node.name):
            return False
        return not (self.honor_taints and untolerated(pod.tolerations, node.taints, NO_SCHEDULE))

    @property
    def minimum(self) -> int:
        """Pods in the emptiest domain; none while there are fewer domains than asked for."""
        if len(self.counts) < self.min_domains:
            return 0
        return min(self.counts.values(), default=2**31 - 1)


def constraints_of(pod: PodInfo, action: str) -> list[Constraint]:
    """The pod's constraints with this whenUnsatisfiable."""
    found = []
    for entry in pod.spec.get("topologySpreadConstraints") or ():
        if entry.get("whenUnsatisfiable") != action:
            continue
        selector = from_object(entry.get("labelSelector"))
        if entry.get("labelSelector") is None:
            selector = LabelSelector([Requirement("", "in")])  # no selector: counts no pod
        else:
            for key in entry.get("matchLabelKeys") or ():
                if key in pod.labels:
                    selector.requirements.append(Requirement(key, "in", frozenset([pod.labels[key]])))
        found.append(
            Constraint(
                entry["topologyKey"],
                int(entry["maxSkew"]),
                int(entry.get("minDomains") or 1),
                selector,
                (entry.get("nodeAffinityPolicy") or "Honor") == "Honor",
                (entry.get("nodeTaintsPolicy") or "Ignore") == "Honor",
                int(selector.matches_labels(pod.labels)),
            )
        )
    return found


class Spreading:
    """The DoNotSchedule constraints of one pod in one cycle."""

    def __init__(self, pod: PodInfo, nodes: Iterable[NodeInfo]) -> None:
        self.pod = pod
        self.constraints = constraints_of(pod, "DoNotSchedule")
        if not self.constraints:
            return
        for node in nodes:
            if not self._labelled(node):
                continue
            for constraint in self.constraints:
                if constraint.covers(pod, node):
                    value = node.labels[constraint.key]
                    constraint.counts[value] = constraint.counts.get(value, 0) + like(node, constraint, pod.namespace)

    def _labelled(self, node: NodeInfo) -> bool:
        return all(constraint.key in node.labels for constraint in self.constraints)

    def move(self, other: PodInfo, node: NodeInfo, delta: int) -> None:
        """Takes account of a pod that comes to a node (1) or goes (-1)."""
        if not self.constraints or other.namespace != self.pod.namespace or not self._labelled(node):
            return
        for constraint in self.constraints:
            if constraint.selector.matches_labels(other.labels) and constraint.covers(self.pod, node):
                value = node.labels[constraint.key]
                constraint.counts[value] = constraint.counts.get(value, 0) + delta

    def check(self, node: NodeInfo) -> Rejection | None:
        """Refuses a node that lacks a label or would make the skew too large."""
        for constraint in self.constraints:
            value = node.labels.get(constraint.key)
            if value is None:
                return _NO_LABEL
            if constraint.counts.get(value, 0) + constraint.itself - constraint.minimum > constraint.max_skew:
                return _SKEWED
        return None


def like(node: NodeInfo, constraint: Constraint, namespace: str) -> int:
    """Pods of a node that a constraint counts; those that are going do not."""
    matches = constraint.selector.matches_labels
    return sum(
        1 for pod in node.pods.values() if pod.namespace == namespace and not pod.terminating and matches(pod.labels)
    )


def default_constraints(pod: PodInfo, selector: Object | None) -> list[Constraint]:
    """The cluster's own soft constraints for pods that name none: hosts (skew 3) and zones (skew 5).

    `selector` is the selector of the pod's services and owner; without one there are none.
    """
    if not selector or pod.spec.get("topologySpreadConstraints"):
        return []
    found = from_object(selector)
    itself = int(found.matches_labels(pod.labels))
    return [Constraint(HOSTNAME, 3, 1, found, itself=itself), Constraint(ZONE, 5, 1, found, itself=itself)]


def scores(
    pod: PodInfo, constraints: list[Constraint], candidates: list[NodeInfo], nodes: Iterable[NodeInfo], all_labels: bool
) -> dict[str, float]:
    """How well each candidate spreads the pod, 0 to 100; {} without constraints.

    `all_labels`: nodes without a constraint's label count for nothing (not so for the default constraints).
    """
    if not constraints:
        return {}
    ignored = {n.name for n in candidates if all_labels and any(c.key not in n.labels for c in constraints)}
    eligible = [node for node in candidates if node.name not in ignored]
    for constraint in constraints:
        if constraint.key != HOSTNAME:
            constraint.counts = {n.labels[constraint.key]: 0 for n in eligible if constraint.key in n.labels}
    for node in nodes:
        if all_labels and any(c.key not in node.labels for c in constraints):
            continue
        for constraint in constraints:
            value = node.labels.get(constraint.key, "")
            if constraint.key != HOSTNAME and value in constraint.counts and constraint.covers(pod, node):
                constraint.counts[value] += like(node, constraint, pod.namespace)
    raw: dict[str, float] = {}
    for node in eligible:
        score = 0.0
        for constraint in constraints:
            if constraint.key not in node.labels:
                continue
            if constraint.key == HOSTNAME:
                count, domains = like(node, constraint, pod.namespace), len(eligible)
            else:
                count, domains = constraint.counts.get(node.labels[constraint.key], 0), len(constraint.counts)
            score += count * math.log(domains + 2) + (constraint.max_skew - 1)
        raw[node.name] = float(round(score))
    low, high = min(raw.values(), default=0.0), max(raw.values(), default=0.0)
    return {
        node.name: 0.0 if node.name in ignored else (100.0 * (high + low - raw[node.name]) // high if high else 100.0)
        for node in candidates
    }
