"""Microsoft.PolicyInsights: how resources stand with the policies that hold for them.

Policy metadata is refused by name (no type here).
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

from azsandbox.arm.provider import Provider
from azsandbox.arm.resources import COLLECTION

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resource_type import ResourceType

__all__ = ["PolicyInsights"]

TYPES = (
    "policyStates",
    "componentPolicyStates",
    "policyEvents",
    "asyncOperationResults",
    "attestations",
    "remediations",
)
AFTER_SECONDS = 900.0  # after a change until resources are judged anew ("Get compliance data", evaluation triggers)


class PolicyInsights(Provider):
    """The namespace Microsoft.PolicyInsights."""

    namespace = "Microsoft.PolicyInsights"

    def __init__(self) -> None:
        super().__init__([])
        self.late(_types, *TYPES)

    async def run(self, arm: Arm) -> None:
        """Judges all resources some time after something has changed, while anything is assigned, and deploys what
        DeployIfNotExists finds missing."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._judge(arm), name="evaluates policies")
            group.create_task(self._deploy(arm), name="deploys what policies ask for")

    async def _deploy(self, arm: Arm) -> None:
        with closing(arm.services.store.watch(COLLECTION)) as changes:
            while not self._any(arm) and not changes.closed:
                await changes.next()
        from azsandbox.arm.policy import pending  # which a start need not wait for

        await pending.run(arm)

    async def _judge(self, arm: Arm) -> None:
        with closing(arm.services.store.watch(COLLECTION)) as changes:
            due = True  # of what was assigned before a start
            while not changes.closed:
                if not due:
                    await changes.next()
                due = False
                if self._any(arm):
                    await arm.services.clock.pause(AFTER_SECONDS)
                    changes.pending()
                    self._evaluate(arm)

    def _any(self, arm: Arm) -> bool:
        return bool(arm.resources.all("Microsoft.Authorization/policyAssignments"))

    def _evaluate(self, arm: Arm) -> None:
        from azsandbox.arm.policy import compliance

        compliance.evaluate(arm)


def _types() -> list[ResourceType]:
    from azsandbox.arm.providers.policyinsights.states import types

    return types()
