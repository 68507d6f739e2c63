"""Why a pod fits nowhere, said as kube-scheduler says it.

Texts: k8s.io/kubernetes, pkg/scheduler/framework (FitError).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

NO_NODES = "no nodes available to schedule pods"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
NO_CLAIMS = "no new claims to deallocate"  # said by the plugin of dynamic resources, before preemption


@dataclass(frozen=True)
class Rejection:
    """Why a node, or all of them, do not do. `unresolvable`: no pod that goes away would help."""

    plugin: str
    reasons: tuple[str, ...]
    unresolvable: bool = False


@dataclass
class Diagnosis:
    """What each node was refused for, or one reason for all before any node was looked at."""

    total: int
    by_node: dict[str, Rejection] = field(default_factory=dict)
    absent: Rejection | None = None  # for nodes that were never looked at
    for_all: Rejection | None = None
    after: str = ""  # what preemption came to

    @property
    def plugins(self) -> set[str]:
        """Names of the plugins that refused."""
        found = {rejection.plugin for rejection in self.by_node.values()}
        for rejection in (self.absent, self.for_all):
            if rejection is not None:
                found.add(rejection.plugin)
        return found

    def message(self) -> str:
        """The text of the FailedScheduling event and of the PodScheduled condition."""
        text = f"0/{self.total} nodes are available:"
        if self.for_all is not None:
            text += f" {', '.join(self.for_all.reasons)}."
        else:
            counts: Counter[str] = Counter()
            for rejection in self.by_node.values():
                counts.update(rejection.reasons)
            if self.absent is not None and len(self.by_node) < self.total:
                for reason in self.absent.reasons:
                    counts[reason] += self.total - len(self.by_node)
            if counts:
                text += f" {histogram(counts)}."
        return f"{text} {self.after}" if self.after else text


def histogram(counts: Counter[str]) -> str:
    """Reasons with their counts, sorted as text."""
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))


def preemption_message(total: int, tried: Sequence[Rejection]) -> str:
    """What preemption says when it found no candidate: why the nodes tried will not do; the rest it cannot help."""
    counts: Counter[str] = Counter()
    for rejection in tried:
        counts.update(rejection.reasons)
    if len(tried) < total:
        counts[NOT_HELPFUL] += total - len(tried)
    return f"preemption: 0/{total} nodes are available: {histogram(counts)}."
