"""Who may do what in a vault, and from where.

With enableRbacAuthorization role assignments decide, on the vault or a single secret ("Provide access to Key Vault keys,
certificates, and secrets with Azure role-based access control"); a new one takes its moment to arrive. Without it the
vault's access policies do ("Assign a Key Vault access policy").
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azsandbox.arm import ids
from azsandbox.arm.access import Held
from azsandbox.arm.facts import read
from azsandbox.keyvault import errors

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.keyvault.vaults import Vault

ALL_BUT = ("purge",)  # that "all" does not hold ("Key Vault access policies")


@dataclass(frozen=True)
class Operation:
    """What is done with a secret: the data action that role assignments must allow, or the permission of a policy."""

    action: str  # below Microsoft.KeyVault/vaults/
    permission: str


GET = Operation("secrets/getSecret/action", "get")
LIST = Operation("secrets/readMetadata/action", "list")
SET = Operation("secrets/setSecret/action", "set")
UPDATE = Operation("secrets/update/action", "set")
DELETE = Operation("secrets/delete", "delete")
RECOVER = Operation("secrets/recover/action", "recover")
PURGE = Operation("secrets/purge/action", "purge")
GET_DELETED = Operation("secrets/readMetadata/action", "get")


@dataclass(frozen=True)
class Origin:
    """Where a request comes from: its public address, and the subnet of the machine that sent it, if any."""

    address: str = "127.0.0.1"
    subnet: str = ""


class Permissions:
    """Decides for the vaults of a sandbox."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._known: dict[str, list[Held]] = {}
        self._valid: tuple[int, float] = (-1, 0.0)  # the revision that is known, and until when it is all there is

    def check(self, vault: Vault, identity: Any, operation: Operation, secret: str = "") -> None:
        """Raises 403 unless the identity may do it with the secret (or the vault, for "")."""
        if vault.properties["enableRbacAuthorization"]:
            self._check_roles(vault, identity, operation, secret)
        else:
            self._check_policies(vault, identity, operation)

    def _check_roles(self, vault: Vault, identity: Any, operation: Operation, secret: str) -> None:
        scope = vault.resource.id + (f"/secrets/{secret}" if secret else "")
        action = f"Microsoft.KeyVault/vaults/{operation.action}"
        self._refresh()
        principals = (identity.object_id.lower(), *(group.lower() for group in identity.groups))
        held = [h for p in principals for h in self._known.get(p, ()) if ids.within(scope, h.scope)]
        if self._arm.access.granting(held, action, data=True) is not None:
            return
        raise errors.forbidden(
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
            "definitions were changed recently, please observe propagation time.\r\n"
            f"Caller: {caller(identity)}/\r\nAction: '{action}'\r\nResource: '{_lower_case(scope)}'\r\n"
            "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n"
            f"Vault: {vault.described}\r\n",
            "ForbiddenByRbac",
        )

    def _refresh(self) -> None:
        """What is known of the assignments, some time after they were made."""
        access = self._arm.access
        revision, until = self._valid
        moment = self._arm.resources.seconds() - self._arm.services.clock.scaled(
            read("keyvault.json")["roleAssignmentSeconds"]
        )
        if revision == access.revision and moment < until:
            return
        self._known, ahead = access.as_known_at(moment)
        self._valid = (access.revision, ahead)

    @staticmethod
    def _check_policies(vault: Vault, identity: Any, operation: Operation) -> None:
        principals = {identity.object_id.lower(), *(group.lower() for group in identity.groups)}
        for policy in vault.properties["accessPolicies"]:
            application = str(policy.get("applicationId") or "").lower()
            if policy["objectId"].lower() not in principals:
                continue
            if application and application != str(identity.claims.get("appid", "")).lower():
                continue
            names = {str(name).lower() for name in policy["permissions"].get("secrets") or ()}
            if operation.permission in names or ("all" in names and operation.permission not in ALL_BUT):
                return
        raise errors.forbidden(
            f"The user, group or application '{caller(identity)}/' does not have secrets {operation.permission} permission "
            f"on key vault '{vault.described}'. For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125287",
            "AccessDenied",
        )


def caller(identity: Any) -> str:
    """How Key Vault names who asks, without the final slash."""
    claims = identity.claims
    issuer = str(claims.get("iss", "")).rstrip("/")
    return f"appid={claims.get('appid') or claims.get('azp')};oid={identity.object_id};iss={issuer}"


def check_network(vault: Vault, identity: Any, origin: Origin) -> None:
    """Raises 403 for an address that the vault's network rules do not let in.

    The sandbox has no private endpoints, so a vault without public access is closed to everybody.
    """
    who = f"Caller: {caller(identity)}/\r\nVault: {vault.described}"
    if vault.properties["publicNetworkAccess"] == "Disabled":
        raise errors.forbidden(
            "Public network access is disabled and request is not from a trusted service nor via an approved private "
            f"link.\r\n{who}",
            "ForbiddenByConnection",
        )
    rules = vault.properties.get("networkAcls") or {}
    if rules.get("defaultAction", "Allow") == "Allow":
        return
    if origin.subnet and any(ids.same(rule["id"], origin.subnet) for rule in rules.get("virtualNetworkRules") or ()):
        return
    address = ipaddress.ip_address(origin.address)
    if any(address in ipaddress.ip_network(rule["value"]) for rule in rules.get("ipRules") or ()):
        return
    raise errors.forbidden(
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: {origin.address}\r\n{who}",
        "ForbiddenByFirewall",
    )


def _lower_case(scope: str) -> str:
    """A scope as Key Vault writes it: all in lower case but for what follows /secrets/."""
    head, slash, secret = scope.partition("/secrets/")
    return head.lower() + slash + secret
