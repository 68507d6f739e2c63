"""Role definitions: the built-in ones from data, and custom ones."""

from __future__ import annotations

import copy
import functools
import re
from typing import Any

from azsandbox.arm import errors, ids
from azsandbox.arm.access import ASSIGNMENTS, DEFINITIONS, built_in
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

_NAMESPACE_ACTIONS = ("register", "unregister", "operations", "checknameavailability")
GUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def assignable(role: Document, scope: str) -> bool:
    """Whether a role can be assigned at a scope: custom ones at their assignable scopes and below."""
    return any(ids.within(scope or "/", held) for held in role["properties"]["assignableScopes"])


def check_actions(call: Call, permissions: list[dict[str, list[str]]]) -> None:
    """Raises InvalidActionOrNotAction, or its sibling for data actions, for what no provider has.

    Of an action its namespace and first type are looked at, as far as the data go; of the data actions of managed
    clusters, which are published, all of it.
    """
    for permission in permissions:
        for kind, code in (
            ("actions", "InvalidActionOrNotAction"),
            ("notActions", "InvalidActionOrNotAction"),
            ("dataActions", "InvalidDataActionOrNotDataAction"),
            ("notDataActions", "InvalidDataActionOrNotDataAction"),
        ):
            for text in permission[kind]:
                if not _known(call, text, data="Data" in code):
                    message = f"'{text}' does not match any of the actions supported by the providers."
                    raise errors.ArmError(400, code, message)


def _known(call: Call, text: str, data: bool) -> bool:
    namespace, slash, rest = text.lower().partition("/")
    if "*" in namespace:
        return True
    if data and text.lower().startswith("microsoft.containerservice/managedclusters/"):
        from azsandbox.aks.data_actions import covers_any

        return covers_any(text)
    if call.arm.facts.namespace(namespace) is None:
        return bool(slash) and namespace.startswith("microsoft.")  # one of the many that the data do not have
    first = rest.partition("/")[0]
    return "*" in first or first in _NAMESPACE_ACTIONS or first in _first_types(namespace)


@functools.cache
def _first_types(namespace: str) -> frozenset[str]:
    """What can follow a namespace in an action: its types, and what built-in roles have there."""
    from azsandbox.arm.facts import read

    providers: dict[str, Any] = read("resource-types.json")["providers"]
    types: dict[str, Any] = next((found for name, found in providers.items() if name.lower() == namespace), {})
    actions = [
        action.lower()
        for role in built_in().values()
        for permission in role["properties"]["permissions"]
        for kind in ("actions", "notActions", "dataActions", "notDataActions")
        for action in permission.get(kind, [])
    ]
    named = {action.split("/")[1] for action in actions if action.startswith(f"{namespace}/")}
    return frozenset({str(type_).lower().partition("/")[0] for type_ in types} | named)


class RoleDefinitions(ResourceType):
    """Microsoft.Authorization/roleDefinitions. Ids carry the subscription that was asked for."""

    name = "roleDefinitions"
    extension = True
    has_state = False
    updated_status = 201  # a second PUT is 201 again

    def _shown(self, call: Call, role: Document) -> Document:
        out = copy.deepcopy(role)
        subscription = call.path.lower().startswith("/subscriptions/")
        base = f"/subscriptions/{call.subscription}" if subscription else ""
        out["id"] = f"{base}/providers/{DEFINITIONS}/{role['name']}"
        out["type"] = DEFINITIONS
        return {k: out[k] for k in ("properties", "id", "type", "name")}

    def _custom(self, call: Call) -> list[Stored]:
        return call.arm.resources.all(DEFINITIONS)

    async def get(self, call: Call) -> Answer:
        role = call.arm.access.definition(call.id.name)
        if role is None:
            raise self.not_found(call)
        return Answer(200, self._shown(call, role))

    async def list(self, call: Call) -> Answer:
        roles = [*built_in().values(), *(s.body for s in self._custom(call))]
        condition = call.query.get("$filter", "")
        assert call.target is not None
        scope, below = call.target.scope, "atscopeandbelow" in condition.lower()
        if scope:
            roles = [
                r
                for r in roles
                if assignable(r, scope)
                or (below and any(ids.within(held, scope) for held in r["properties"]["assignableScopes"]))
            ]
        for term in re.split(r"\s+and\s+(?=(?:[^']*'[^']*')*[^']*$)", condition):
            if found := re.fullmatch(r"\s*roleName\s+eq\s+'([^']*)'\s*", term, re.IGNORECASE):
                roles = [r for r in roles if r["properties"]["roleName"].lower() == found[1].lower()]
            elif found := re.fullmatch(r"\s*type\s+eq\s+'([^']*)'\s*", term, re.IGNORECASE):
                roles = [r for r in roles if r["properties"]["type"].lower() == found[1].lower()]
            elif term.strip() and term.replace(" ", "").lower() not in ("atscopeandbelow()", "atscope()"):
                raise errors.ArmError(400, "UnsupportedQuery", f"The filter '{condition}' is not supported.")
        return call.page([self._shown(call, r) for r in roles])

    def not_found(self, call: Call) -> errors.ArmError:
        name = call.id.name.replace("-", "").upper()
        return errors.ArmError(
            404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{name}' does not exist."
        )

    async def put(self, call: Call) -> Answer:
        name = call.id.name
        if not GUID.fullmatch(name):
            raise errors.ArmError(
                400, "RoleDefinitionIdNotGuid", f"The role definition ID '{name}' is not a valid GUID."
            )
        if name.lower() in built_in():
            raise errors.ArmError(
                400, "CannotModifyBuiltInRoleDefinition", "Updating a built-in role definition is not allowed."
            )
        return await self.write(call)

    async def write(self, call: Call) -> Answer:
        properties, now = call.properties, timestamp(call.arm.services.clock)
        role_name, scopes = properties.get("roleName"), properties.get("assignableScopes")
        if not role_name or not isinstance(role_name, str):
            raise errors.ArmError(
                400, "RoleDefinitionNameNullOrEmpty", "The role definition name cannot be null or empty."
            )
        if not isinstance(scopes, list) or not scopes:
            raise errors.ArmError(
                400, "MissingAssignableScopes", "The role definition must have at least one assignable scope."
            )
        stored = next((s for s in self._custom(call) if s.name.lower() == call.id.name.lower()), None)
        others = [*built_in().values(), *(s.body for s in self._custom(call) if s is not stored)]
        if any(
            r["properties"]["roleName"].lower() == role_name.lower() and r["name"].lower() != call.id.name.lower()
            for r in others
        ):
            raise errors.ArmError(
                409,
                "RoleDefinitionWithSameNameExists",
                f"A custom role with the same name already exists in this directory. Use a different name. The name is '{role_name}'.",
            )
        permissions = [
            {k: list(p.get(k) or []) for k in ("actions", "notActions", "dataActions", "notDataActions")}
            for p in properties.get("permissions") or []
        ]
        check_actions(call, permissions)
        before = stored.body["properties"] if stored else {}
        kept: dict[str, Any] = {
            "roleName": role_name,
            "type": "CustomRole",
            "description": properties.get("description"),
            "assignableScopes": scopes,
            "permissions": permissions,
            "createdOn": before.get("createdOn", now),
            "updatedOn": now,
            "createdBy": before.get("createdBy", call.identity.object_id),
            "updatedBy": call.identity.object_id,
        }
        id_ = ids.subscription(call.arm.services.subscription_id).extension(
            "Microsoft.Authorization", "roleDefinitions", call.id.name
        )
        body = {"properties": kept, "id": str(id_), "type": DEFINITIONS, "name": call.id.name}
        call.arm.resources.put(Stored(str(id_), DEFINITIONS, body, created=stored.created if stored else ""))
        shown = self._shown(call, body)
        shown["properties"]["createdBy"] = None  # in the answer to the write, as Azure has it
        return Answer(201, shown)

    async def delete(self, call: Call) -> Answer:
        name = call.id.name.lower()
        if name in built_in():
            raise errors.ArmError(
                400, "CannotModifyBuiltInRoleDefinition", "Deleting a built-in role definition is not allowed."
            )
        stored = next((s for s in self._custom(call) if s.name.lower() == name), None)
        if stored is None:
            return Answer(204)
        if any(
            a.body["properties"]["roleDefinitionId"].lower().endswith(name) for a in call.arm.resources.all(ASSIGNMENTS)
        ):
            raise errors.ArmError(
                400,
                "RoleDefinitionHasAssignments",
                "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments)",
            )
        call.arm.resources.delete(stored.id)
        return Answer(200, self._shown(call, stored.body))
