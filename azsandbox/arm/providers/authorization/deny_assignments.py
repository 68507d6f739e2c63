"""Deny assignments, of which there are none.

Nobody makes one by a request: deployment stacks, managed applications and locked-down node resource groups do (Azure RBAC
docs, "List Azure deny assignments"), and the sandbox has none of these. So the list is empty, and that is the truth.
"""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType


class DenyAssignments(ResourceType):
    """Microsoft.Authorization/denyAssignments: read only."""

    name = "denyAssignments"
    extension = True
    stored = False

    async def list(self, call: Call) -> Answer:
        return call.page([])

    async def get(self, call: Call) -> Answer:
        raise errors.ArmError(404, "DenyAssignmentNotFound", f"The deny assignment '{call.id.name}' is not found.")

    async def put(self, call: Call) -> Answer:
        raise errors.not_supported("deny assignments made by a request")

    async def delete(self, call: Call) -> Answer:
        raise errors.not_supported("deleting deny assignments")
