"""Locks: CanNotDelete and ReadOnly on a scope hold for everything below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.arm import errors, ids
from azsandbox.arm.ids import ResourceId

if TYPE_CHECKING:
    from azsandbox.arm.call import Call
    from azsandbox.arm.provider import Arm

TYPE = "Microsoft.Authorization/locks"
VERBS = {"DELETE": "delete", "PUT": "write", "PATCH": "write", "POST": "write"}


def check(call: Call, id_: ResourceId) -> None:
    """Raises ScopeLocked when a lock on the resource or above it forbids the method.

    Locks themselves, and role assignments, can be changed below a lock only when it is CanNotDelete; a lock never
    keeps a lock from being removed.
    """
    if id_.type.lower() == TYPE.lower():
        return
    verb = VERBS[call.method]
    found = scopes(call.arm, id_, verb)
    if call.method == "DELETE" and id_.type == ids.GROUPS:
        found += [s for s in _below(call.arm, id_) if s not in found]
    if found:
        raise locked(str(id_), verb, found)


def locked(scope: str, verb: str, scopes_: list[str]) -> errors.ArmError:
    """409 ScopeLocked."""
    return errors.gateway(
        409,
        "ScopeLocked",
        f"The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: "
        f"'{','.join(scopes_)}'. Please remove the lock and try again.",
    )


def scopes(arm: Arm, id_: ResourceId, verb: str) -> list[str]:
    """Scopes at or above `id_` whose locks forbid the verb."""
    out: list[str] = []
    for lock in arm.resources.all(TYPE):
        scope = lock.resource_id.scope
        level = lock.body["properties"]["level"]
        if ids.within(str(id_), scope) and (verb == "delete" or level == "ReadOnly") and scope not in out:
            out.append(scope)
    return out


def _below(arm: Arm, id_: ResourceId) -> list[str]:
    return [lock.resource_id.scope for lock in arm.resources.below(id_, TYPE)]
