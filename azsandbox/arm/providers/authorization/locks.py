"""Locks on subscriptions, groups and resources."""

from __future__ import annotations

from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

LEVELS = ("CanNotDelete", "ReadOnly")


class Locks(ResourceType):
    """Microsoft.Authorization/locks; their effect is in arm/locks.py."""

    name = "locks"
    extension = True
    has_state = False
    removal_rank = 0

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties = call.properties
        level = properties.get("level")
        if level not in LEVELS:
            message = f"The lock level '{level}' is invalid. Possible values are 'CanNotDelete' and 'ReadOnly'."
            raise errors.gateway(400, "InvalidLockLevel" if level else "LockLevelRequired", message)
        out: dict[str, Any] = {"level": level}
        for key in ("notes", "owners"):
            if properties.get(key) is not None:
                out[key] = properties[key]
        return {"properties": out}

    async def list(self, call: Call) -> Answer:
        """Locks at the scope and below it; with $filter=atScope() those at it and above."""
        assert call.target is not None
        scope = call.target.scope
        found = call.arm.resources.below(scope, self.full_name)
        if call.query.get("$filter", "").replace(" ", "").lower() == "atscope()":
            from azsandbox.arm import ids

            found = [s for s in call.arm.resources.all(self.full_name) if ids.within(scope, s.resource_id.scope)]
        return call.page([s.body for s in found])

    def not_found(self, call: Call) -> errors.ArmError:
        return errors.gateway(404, "LockNotFound", f"The lock '{call.id.name}' could not be found.")
