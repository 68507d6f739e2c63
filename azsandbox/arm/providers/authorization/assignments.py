"""Role assignments: who has which role at which scope."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.access import ASSIGNMENTS, DEFINITIONS
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.ids import ResourceId
from azsandbox.arm.providers.authorization.definitions import GUID, assignable
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm


def assignment(
    arm: Arm, id_: ResourceId, role: str, principal: str, kind: str, *, by: str | None = None, **more: Any
) -> Stored:
    """A new assignment of the role with that GUID; the scope is that of the id, as it was written."""
    now = timestamp(arm.services.clock)
    properties: Document = {
        "roleDefinitionId": f"/subscriptions/{arm.services.subscription_id}/providers/{DEFINITIONS}/{role}",
        "principalId": principal,
        "principalType": kind,
        "scope": id_.scope or "/",
        "condition": None,
        "conditionVersion": None,
        "createdOn": now,
        "updatedOn": now,
        "createdBy": by or principal,
        "updatedBy": by or principal,
        "delegatedManagedIdentityResourceId": None,
        "description": None,
    } | more
    body = {"properties": properties, "id": str(id_), "type": ASSIGNMENTS, "name": id_.name}
    return Stored(str(id_), ASSIGNMENTS, body)


def _kind(principal: Any) -> str:
    """What Azure calls the kind of an object of the directory."""
    kind = str(getattr(principal, "kind", "") or "").lower()
    return {"user": "User", "group": "Group"}.get(kind, "ServicePrincipal")


def _check_condition(condition: Any) -> None:
    """Raises NotSupportedInSandbox for a condition that cannot be judged, with what of it cannot."""
    if not condition:
        return
    from azsandbox.arm import conditions  # which a start need not wait for

    if problem := conditions.problem(str(condition)):
        raise errors.not_supported(f"a condition of a role assignment with {problem}")


class RoleAssignments(ResourceType):
    """Microsoft.Authorization/roleAssignments."""

    name = "roleAssignments"
    extension = True
    has_state = False
    removal_rank = 0

    def _written(self, call: Call) -> str:
        """The scope as the client wrote it: az compares it letter for letter."""
        parts = ids.segments(call.path)
        at = len(parts) - 1 - [p.lower() for p in parts][::-1].index("providers")
        return ids.scope_text(parts[:at])

    def attributes(self, call: Call) -> dict[str, str | None]:
        """Role and principal, of the request when one is written, of what is there when it is deleted ("Delegate Azure
        role assignment management to others with conditions")."""
        found = call.body.get("properties") if isinstance(call.body, dict) else None
        if call.method == "DELETE" and call.target is not None:
            stored = call.arm.resources.get(call.target.id)
            found = stored.body["properties"] if stored else None
        if not isinstance(found, dict):
            return {}
        principal = str(found.get("principalId") or "")
        known = call.arm.services.entra.directory.get(principal)
        kind = str(found.get("principalType") or "") or (_kind(known) if known else "")
        values = {
            "RoleDefinitionId": str(found.get("roleDefinitionId") or "").rstrip("/").rsplit("/", 1)[-1],
            "PrincipalId": principal,
            "PrincipalType": kind,
        }
        return {f"{ASSIGNMENTS}:{name}": value for name, value in values.items()}

    async def put(self, call: Call) -> Answer:
        name, properties, arm = call.id.name, call.properties, call.arm
        if not GUID.fullmatch(name):
            text = f"The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID."
            raise errors.ArmError(400, "InvalidRoleAssignmentId", text)
        principal, role_id = properties.get("principalId"), properties.get("roleDefinitionId")
        if not principal or not role_id:
            missing = "principalId" if not principal else "roleDefinitionId"
            text = f"The request content was invalid and could not be deserialized: 'Required property '{missing}' not found in JSON.'."
            raise errors.ArmError(400, "InvalidRequestContent", text)
        if not GUID.fullmatch(str(principal)):
            text = f"The Principal ID '{principal}' is not valid. Principal ID must be a GUID."
            raise errors.ArmError(400, "InvalidPrincipalId", text)
        guid = str(role_id).rstrip("/").rsplit("/", 1)[-1].lower()
        role = arm.access.definition(guid)
        if role is None or not assignable(role, self._written(call)):
            digits = guid.replace("-", "").upper()
            text = f"The specified role definition with ID '{digits}' does not exist."
            raise errors.ArmError(400, "RoleDefinitionDoesNotExist", text)
        scope = self._written(call)
        kind = self._principal_type(call, str(principal), properties.get("principalType"))
        stored = call.current
        if stored is None:
            for other in arm.resources.all(ASSIGNMENTS):
                held = other.body["properties"]
                if (
                    held["principalId"].lower() == str(principal).lower()
                    and held["roleDefinitionId"].lower().endswith(guid)
                    and ids.same(held["scope"], scope or "/")
                ):
                    digits = other.name.replace("-", "").lower()
                    text = f"The role assignment already exists. The ID of the existing role assignment is {digits}."
                    raise errors.ArmError(409, "RoleAssignmentExists", text)
        elif stored.body["properties"]["principalId"].lower() != str(principal).lower() or not stored.body[
            "properties"
        ]["roleDefinitionId"].lower().endswith(guid):
            text = (
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated. "
                f"(code: RoleAssignmentUpdateNotPermitted) (assignment: {name})"
            )
            raise errors.ArmError(400, "RoleAssignmentUpdateNotPermitted", text)
        if properties.get("condition") and not properties.get("conditionVersion"):
            text = "The condition version must be set to '2.0' when a condition is given."
            raise errors.ArmError(400, "RoleAssignmentConditionVersionRequired", text)
        _check_condition(properties.get("condition"))
        more = {
            key: properties.get(key)
            for key in ("condition", "conditionVersion", "description", "delegatedManagedIdentityResourceId")
        }
        id_ = ResourceId(scope, "Microsoft.Authorization", ("roleAssignments",), (name,))
        made = assignment(arm, id_, role["name"], str(principal), kind, by=call.identity.object_id, **more)
        if stored:
            for key in ("createdOn", "createdBy", "scope"):
                made.body["properties"][key] = stored.body["properties"][key]
            made.id, made.body["id"], made.created = stored.id, stored.id, stored.created
        arm.resources.put(made)
        # 201 also for a change, and createdBy in later reads only (recording test_role_assignment_create_update)
        return Answer(201, {**made.body, "properties": {**made.body["properties"], "createdBy": None}})

    def _principal_type(self, call: Call, principal: str, told: Any) -> str:
        """User, Group or ServicePrincipal; an unknown principal is accepted only when its type is told."""
        found = call.arm.services.entra.directory.get(principal)
        if found is not None:
            kind = _kind(found)
            if told and str(told).lower() != kind.lower():
                digits = principal.replace("-", "")
                text = (
                    f"The PrincipalId '{digits}' has type '{kind}' , which is different from specified PrinciaplType "
                    f"'{told}'."
                )
                raise errors.ArmError(400, "UnmatchedPrincipalType", text)
            return kind
        if told:
            return str(told)
        digits, tenant = principal.replace("-", ""), call.arm.services.tenant_id
        text = (
            f"Principal {digits} does not exist in the directory {tenant}. Check that you have the correct principal ID. "
            "If you are creating this principal and then immediately assigning a role, this error might be related to a "
            "replication delay. In this case, set the role assignment principalType property to a value, such as "
            "ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype"
        )
        raise errors.ArmError(400, "PrincipalNotFound", text)

    def not_found(self, call: Call) -> errors.ArmError:
        return errors.ArmError(404, "RoleAssignmentNotFound", f"The role assignment '{call.id.name}' is not found.")

    async def delete(self, call: Call) -> Answer:
        stored = call.current
        if stored is None:
            return Answer(204)
        call.arm.resources.delete(stored.id)
        return Answer(200, stored.body)

    async def list(self, call: Call) -> Answer:
        """Assignments at, above and below the scope; $filter narrows them (atScope() leaves out those below)."""
        assert call.target is not None
        scope, condition = call.target.scope or "/", call.query.get("$filter", "")
        found = [
            s
            for s in call.arm.resources.all(ASSIGNMENTS)
            if ids.within(s.body["properties"]["scope"], scope) or ids.within(scope, s.body["properties"]["scope"])
        ]
        for term in re.split(r"\s+and\s+", condition):
            bare = term.replace(" ", "")
            if not bare:
                continue
            if bare.lower() == "atscope()":
                found = [s for s in found if ids.within(scope, s.body["properties"]["scope"])]
            elif match := re.fullmatch(r"principalIdeq'([^']*)'", bare, re.IGNORECASE):
                wanted = {match[1].lower()}
                found = [s for s in found if s.body["properties"]["principalId"].lower() in wanted]
            elif match := re.fullmatch(r"assignedTo\('([^']*)'\)", bare, re.IGNORECASE):
                wanted = {p.lower() for p in self._with_groups(call, match[1])}
                found = [s for s in found if s.body["properties"]["principalId"].lower() in wanted]
            else:
                raise errors.ArmError(
                    400,
                    "UnsupportedQuery",
                    f"The filter '{condition}' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{{value}}' or assignedTo('{{value}}')'.",
                )
        return call.page([s.body for s in found])

    def _with_groups(self, call: Call, principal: str) -> tuple[str, ...]:
        groups = getattr(call.arm.services.entra.directory, "groups_of", None)
        return (principal, *(groups(principal) if groups else ()))
