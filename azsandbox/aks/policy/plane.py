"""Azure's side of the add-on: the policies that hold for a cluster, and how the cluster keeps them.

A change of an assignment arrives after a while (facts: about 20 minutes on Azure); what held before holds until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from azsandbox.aks.policy import facts
from azsandbox.arm.operations import when
from azsandbox.arm.policy import reports
from azsandbox.arm.policy.built_in import KUBERNETES
from azsandbox.arm.policy.in_force import Policy, document
from azsandbox.arm.resources import COLLECTION

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.store import Watch

MARK = "/providers/microsoft.authorization/polic"


class PolicyPlane:
    """Of one managed cluster."""

    def __init__(self, arm: Arm, cluster_id: str) -> None:
        self.arm, self.cluster_id = arm, cluster_id

    def arrival(self) -> float:
        """Seconds of this machine that a change needs to arrive."""
        known = facts.add_on()
        fast = self.arm.services.clock.speed == "fast"
        return float(known["arrivalSecondsFast" if fast else "arrivalSeconds"])

    def interval(self) -> float:
        """Seconds of this machine after which the agent compares everything again."""
        return self.arm.services.clock.patience(float(facts.add_on()["syncSeconds"]))

    def policies(self) -> list[Policy]:
        """The policies that hold for what is in the cluster: of assignments to it or above, not exempt."""
        stored = self.arm.resources.get(self.cluster_id)
        if stored is None:
            return []
        found = self.arm.policies.policies(document(stored))
        return [p for p in found if p.mode == KUBERNETES and not p.exemptions]

    def due_in(self, policy: Policy) -> float:
        """Seconds until the last change of the assignment, or of a definition of the learner's own, has come; 0 when
        it has."""
        now = self.arm.services.clock.now()
        bodies = [policy.assignment, policy.definition, *([policy.initiative] if policy.initiative else [])]
        stored = [self.arm.resources.get(str(body["id"])) for body in bodies]
        left = [self.arrival() - (now - when(s.changed)).total_seconds() for s in stored if s is not None]
        return max(0.0, *left) if left else 0.0

    def watch(self) -> Watch:
        """Changes of resources; `concerns` says whether one is of policy. Close it when done."""
        return self.arm.services.store.watch(COLLECTION)

    def concerns(self, key: str) -> bool:
        """Whether a change of the resource with that key can change what holds for the cluster."""
        return MARK in key

    def report(self, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
        """Takes what the agent tells of the policies that it carries out, in place of what it told before."""
        reports.put(self.arm, self.cluster_id, list(rows))
