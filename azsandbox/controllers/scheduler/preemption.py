"""Making room for a pod of higher priority: which pods would have to go, and from which node.

Rules: k8s.io/kubernetes, pkg/scheduler/framework/preemption and plugins/defaultpreemption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from azsandbox.controllers.client import Object
from azsandbox.controllers.scheduler.filters import Filters
from azsandbox.controllers.scheduler.results import NO_VICTIMS, Diagnosis, Rejection, preemption_message
from azsandbox.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from azsandbox.kubernetes.selectors import from_object

BY_SCHEDULER = "PreemptionByScheduler"

_NONE = Rejection("DefaultPreemption", (NO_VICTIMS,), unresolvable=True)


@dataclass(frozen=True)
class Candidate:
    """A node and the pods that would have to leave it, the most important first."""

    node: NodeInfo
    victims: list[PodInfo]
    violations: int  # how many of them a disruption budget would keep


@dataclass(frozen=True)
class Preemption:
    """What came of it: a candidate, or what to say; `keep`: the nominated node stays as it is."""

    candidate: Candidate | None = None
    message: str = ""
    keep: bool = False


def preempt(
    pod: PodInfo,
    snapshot: Snapshot,
    filters: Filters,
    diagnosis: Diagnosis,
    budgets: Iterable[Object],
) -> Preemption:
    """Finds the node where the least important pods make room for `pod`."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return Preemption(message="preemption: not eligible due to preemptionPolicy=Never.", keep=True)
    nominated = (pod.pod.get("status") or {}).get("nominatedNodeName")
    if nominated and _waits_for_victims(pod, nominated, snapshot, diagnosis):
        text = "preemption: not eligible due to a terminating pod on the nominated node."
        return Preemption(message=text, keep=True)
    tried: list[Rejection] = []
    candidates: list[Candidate] = []
    budgets = list(budgets)
    for name, rejection in diagnosis.by_node.items():
        if rejection.unresolvable:
            continue
        found = victims_on(pod, snapshot.nodes[name], filters, budgets)
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            tried.append(found)
    if not candidates:
        return Preemption(message=preemption_message(diagnosis.total, tried))
    return Preemption(candidate=min(candidates, key=_cost))


def _waits_for_victims(pod: PodInfo, nominated: str, snapshot: Snapshot, diagnosis: Diagnosis) -> bool:
    rejection = diagnosis.by_node.get(nominated) or diagnosis.absent
    if rejection is not None and rejection.unresolvable:
        return False
    node = snapshot.nodes.get(nominated)
    return node is not None and any(
        other.priority < pod.priority and _going_for_preemption(other) for other in node.pods.values()
    )


def _going_for_preemption(pod: PodInfo) -> bool:
    conditions = (pod.pod.get("status") or {}).get("conditions") or ()
    return pod.terminating and any(
        c["type"] == "DisruptionTarget" and c["status"] == "True" and c.get("reason") == BY_SCHEDULER
        for c in conditions
    )


def victims_on(pod: PodInfo, node: NodeInfo, filters: Filters, budgets: list[Object]) -> Candidate | Rejection:
    """The fewest pods that would have to leave `node`, or why none of that helps. Leaves the node as it was."""
    lower = [other for other in node.pods.values() if other.priority < pod.priority]
    if not lower:
        return _NONE
    for other in lower:
        filters.remove(other, node)
    rejection = filters.check(node)
    victims: list[PodInfo] = []
    violations = 0
    if rejection is None:
        lower.sort(key=importance)
        kept, free = split_by_budget(lower, budgets)
        for group, counts in ((kept, True), (free, False)):
            for other in group:
                filters.add(other, node)
                if filters.check(node) is not None:
                    filters.remove(other, node)
                    victims.append(other)
                    violations += counts
    for other in lower if rejection is not None else victims:
        filters.add(other, node)
    if rejection is not None:
        return rejection
    return Candidate(node, sorted(victims, key=importance), violations)


def importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the more important first: higher priority, then the longer running."""
    return -pod.priority, pod.start


def split_by_budget(pods: list[PodInfo], budgets: list[Object]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Pods that a PodDisruptionBudget would keep, and the others, in the order given."""
    allowed = [int((budget.get("status") or {}).get("disruptionsAllowed") or 0) for budget in budgets]
    matches: list[Callable[[dict[str, str]], bool]] = [
        from_object(budget["spec"].get("selector")).matches_labels for budget in budgets
    ]
    kept: list[PodInfo] = []
    free: list[PodInfo] = []
    for pod in pods:
        violated = False
        for index, budget in enumerate(budgets):
            selector = budget["spec"].get("selector") or {}
            empty = not selector.get("matchLabels") and not selector.get("matchExpressions")
            if not pod.labels or empty or budget["metadata"]["namespace"] != pod.namespace:
                continue
            if not matches[index](pod.labels):
                continue
            if pod.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                continue
            allowed[index] -= 1
            violated = violated or allowed[index] < 0
        (kept if violated else free).append(pod)
    return kept, free


def _cost(candidate: Candidate) -> tuple[int, int, int, int, str]:
    priorities = [victim.priority for victim in candidate.victims]
    started = max((victim.start for victim in candidate.victims if victim.priority == max(priorities)), default="")
    # of equals the node whose most important victim started last is taken; text order reversed
    youngest = "".join(chr(0x10FFFF - ord(char)) for char in started)
    highest = max(priorities, default=-(2**31))
    return candidate.violations, highest, sum(p + 2**31 for p in priorities), len(priorities), youngest
