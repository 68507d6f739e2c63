"""GET …/permissions: what the caller may do at a scope."""

from __future__ import annotations

from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType


class Permissions(ResourceType):
    """Microsoft.Authorization/permissions: a list only."""

    name = "permissions"
    extension = True
    stored = False

    async def list(self, call: Call) -> Answer:
        assert call.target is not None
        principals = (call.identity.object_id, *call.identity.groups)
        return call.page(call.arm.access.permissions(principals, call.target.scope))
