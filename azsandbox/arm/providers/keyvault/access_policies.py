"""vaults/accessPolicies: adds to a vault's access policies, replaces them or takes from them, without the rest of its body."""

from __future__ import annotations

from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.providers.keyvault import vault_body
from azsandbox.arm.providers.keyvault.names import VAULTS
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document

KINDS = ("add", "replace", "remove")


class AccessPolicies(ResourceType):
    """PUT …/vaults/{name}/accessPolicies/{add|replace|remove}."""

    name = "vaults/accessPolicies"
    stored = False

    async def put(self, call: Call) -> Answer:
        """Changes the policies of the parent; answers with what it has then."""
        parent = call.id.parent
        assert parent is not None
        vault = call.arm.resources.get(parent)
        if vault is None:
            raise errors.resource_not_found(VAULTS, parent.names, call.group)
        kind = call.id.name.lower()
        if kind not in KINDS:
            text = f"Invalid value found at operationKind: {call.id.name}. It must be one of {', '.join(KINDS)}."
            raise errors.ArmError(400, "BadRequest", text)
        given = vault_body.access_policies(call.properties.get("accessPolicies"))
        held: list[Document] = list(vault.properties.get("accessPolicies") or [])
        vault.properties["accessPolicies"] = CHANGES[kind](held, given)
        vault_body.check_count(vault.properties["accessPolicies"])
        call.arm.resources.put(vault)
        body = {
            "id": f"{vault.id}/accessPolicies/",
            "type": self.full_name,
            "properties": {"accessPolicies": vault.properties["accessPolicies"]},
        }
        return Answer(200, body)

    async def get(self, call: Call) -> Answer:
        raise errors.method_not_allowed(call.method, self.full_name)

    async def delete(self, call: Call) -> Answer:
        raise errors.method_not_allowed(call.method, self.full_name)

    async def patch(self, call: Call) -> Answer:
        raise errors.method_not_allowed(call.method, self.full_name)

    async def list(self, call: Call) -> Answer:
        raise errors.method_not_allowed(call.method, self.full_name)


def _of(policy: Document) -> tuple[Any, ...]:
    return tuple(str(policy.get(key) or "").lower() for key in ("tenantId", "objectId", "applicationId"))


def _add(held: list[Document], given: list[Document]) -> list[Document]:
    """The permissions of each principal, old ones and new ones."""
    out = {_of(policy): policy for policy in held}
    for policy in given:
        old = (out.get(_of(policy)) or {}).get("permissions") or {}
        permissions = {
            kind: list(dict.fromkeys([*old.get(kind, []), *policy["permissions"].get(kind, [])]))
            for kind in {**old, **policy["permissions"]}
        }
        out[_of(policy)] = {**policy, "permissions": permissions}
    return list(out.values())


def _replace(held: list[Document], given: list[Document]) -> list[Document]:
    """The policies of the principals named, anew; those of others stay."""
    out = {_of(policy): policy for policy in held}
    return list((out | {_of(policy): policy for policy in given}).values())


def _remove(held: list[Document], given: list[Document]) -> list[Document]:
    """Without the permissions named; a principal without any is left out."""
    out = []
    gone = {_of(policy): policy["permissions"] for policy in given}
    for policy in held:
        less = gone.get(_of(policy), {})
        kept = {
            kind: [p for p in names if p not in less.get(kind, [])] for kind, names in policy["permissions"].items()
        }
        if any(kept.values()):
            out.append({**policy, "permissions": kept})
    return out


CHANGES = {"add": _add, "replace": _replace, "remove": _remove}
