"""Affinity and anti-affinity between pods.

Rules: k8s.io/kubernetes, pkg/scheduler/framework/plugins/interpodaffinity.
"""

from __future__ import annotations

from collections.abc import Iterable

from azsandbox.controllers.scheduler.results import Rejection
from azsandbox.controllers.scheduler.snapshot import AffinityTerm, NodeInfo, PodInfo, affinity_terms

PLUGIN = "InterPodAffinity"

_AFFINITY = Rejection(PLUGIN, ("node(s) didn't match pod affinity rules",), unresolvable=True)
_ANTI = Rejection(PLUGIN, ("node(s) didn't match pod anti-affinity rules",))
_EXISTING = Rejection(PLUGIN, ("node(s) didn't satisfy existing pods anti-affinity rules",))

HARD_WEIGHT = 1  # what a required affinity of a pod that is there counts for in scores

Counts = dict[tuple[str, str], int]  # topology key and value → matching pods
NamespaceLabels = dict[str, dict[str, str]]


def matches_all(terms: tuple[AffinityTerm, ...], pod: PodInfo, labels: NamespaceLabels) -> bool:
    """Whether a pod matches every term, of which there is one at least."""
    return bool(terms) and all(term.matches(pod, labels) for term in terms)


class InterPodAffinity:
    """The required terms of one pod, and of those that are there, in one cycle."""

    def __init__(self, pod: PodInfo, nodes: Iterable[NodeInfo], namespace_labels: NamespaceLabels) -> None:
        self.pod, self.labels = pod, namespace_labels
        self.existing: Counts = {}
        self.affinity: Counts = {}
        self.anti: Counts = {}
        own = bool(pod.affinity or pod.anti_affinity)
        for node in nodes:
            for other in (node.pods if own else node.with_anti_affinity).values():
                self.move(other, node, 1)

    @property
    def active(self) -> bool:
        return bool(self.existing or self.pod.affinity or self.pod.anti_affinity)

    def move(self, other: PodInfo, node: NodeInfo, delta: int) -> None:
        """Takes account of a pod that comes to a node (1) or goes (-1)."""
        for term in other.anti_affinity:
            if term.matches(self.pod, self.labels):
                _count(self.existing, node, term.topology_key, delta)
        if matches_all(self.pod.affinity, other, self.labels):
            for term in self.pod.affinity:
                _count(self.affinity, node, term.topology_key, delta)
        for term in self.pod.anti_affinity:
            if term.matches(other, self.labels):
                _count(self.anti, node, term.topology_key, delta)

    def check(self, node: NodeInfo) -> Rejection | None:
        """Refuses a node where a required term does not hold."""
        if not self._affinity_holds(node):
            return _AFFINITY
        for term in self.pod.anti_affinity:
            value = node.labels.get(term.topology_key)
            if value is not None and self.anti.get((term.topology_key, value), 0) > 0:
                return _ANTI
        if self.existing and any(self.existing.get(pair, 0) > 0 for pair in node.labels.items()):
            return _EXISTING
        return None

    def _affinity_holds(self, node: NodeInfo) -> bool:
        found = True
        for term in self.pod.affinity:
            value = node.labels.get(term.topology_key)
            if value is None:
                return False
            if self.affinity.get((term.topology_key, value), 0) <= 0:
                found = False
        # the first of a group that wants to be together has nobody to join
        return found or (not self.affinity and matches_all(self.pod.affinity, self.pod, self.labels))


def _count(counts: Counts, node: NodeInfo, key: str, delta: int) -> None:
    value = node.labels.get(key)
    if value is None:
        return
    pair = (key, value)
    counts[pair] = counts.get(pair, 0) + delta
    if not counts[pair]:
        del counts[pair]


def scores(
    pod: PodInfo, candidates: list[NodeInfo], nodes: Iterable[NodeInfo], namespace_labels: NamespaceLabels
) -> dict[str, float]:
    """How much each candidate is liked by preferred terms, 0 to 100; {} if nobody has any."""
    likes = affinity_terms(pod.pod, "podAffinity", preferred=True)
    dislikes = affinity_terms(pod.pod, "podAntiAffinity", preferred=True)
    found: Counts = {}
    for node in nodes:
        for other in node.pods.values():
            has_affinity = (other.spec.get("affinity") or {}).keys() & {"podAffinity", "podAntiAffinity"}
            if not likes and not dislikes and not has_affinity:
                continue
            _prefer(found, node, likes, other, namespace_labels, 1)
            _prefer(found, node, dislikes, other, namespace_labels, -1)
            if has_affinity:
                for term in other.affinity:
                    if term.matches(pod, namespace_labels):
                        _count(found, node, term.topology_key, HARD_WEIGHT)
                _prefer(found, node, affinity_terms(other.pod, "podAffinity", True), pod, namespace_labels, 1)
                _prefer(found, node, affinity_terms(other.pod, "podAntiAffinity", True), pod, namespace_labels, -1)
    if not found:
        return {}
    raw = {node.name: sum(found.get(pair, 0) for pair in node.labels.items()) for node in candidates}
    low, high = min(raw.values()), max(raw.values())
    return {name: (100.0 * (value - low) / (high - low) if high > low else 0.0) for name, value in raw.items()}


def _prefer(
    found: Counts,
    node: NodeInfo,
    terms: tuple[AffinityTerm, ...],
    pod: PodInfo,
    labels: NamespaceLabels,
    sign: int,
) -> None:
    for term in terms:
        if term.matches(pod, labels):
            _count(found, node, term.topology_key, sign * term.weight)
