"""Microsoft.ManagedIdentity: user-assigned identities and their federated credentials.

Each identity is a service principal of the directory from the moment it is written, so that
it can be given roles and sign in at once.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.ids import ResourceId
from azsandbox.arm.provider import NameRule, Provider, action
from azsandbox.arm.providers.operations import ProviderOperations
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored
from azsandbox.entra import FederatedCredential
from azsandbox.entra.federation import PROPAGATION

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

READ_ONLY = ("tenantId", "principalId", "clientId")
ISOLATION = ("None", "Regional")
LIMIT = 20  # federated credentials an identity
CREDENTIALS = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"


class ManagedIdentity(Provider):
    """The namespace Microsoft.ManagedIdentity."""

    namespace = "Microsoft.ManagedIdentity"

    def __init__(self) -> None:
        super().__init__([UserAssignedIdentities(), FederatedCredentials(), ProviderOperations()])


def _written(id_: ResourceId) -> str:
    """Ids of identities have `resourcegroups` in lower case."""
    return str(id_).replace("/resourceGroups/", "/resourcegroups/", 1)


def _refuse_unknown(call: Call, known: set[str], what: str) -> None:
    """Raises for what the sandbox would otherwise pass over, such as `claimsMatchingExpression`."""
    for name, value in call.properties.items():
        if name not in known and value is not None:
            raise errors.not_supported(f"'properties.{name}' of {what}")


class UserAssignedIdentities(ResourceType):
    """Microsoft.ManagedIdentity/userAssignedIdentities."""

    name = "userAssignedIdentities"
    tracked = True
    has_state = False
    patch_merges = (
        True  # a location, as long as it stays, and the isolation scope (azure-rest-api-specs, IdentityUpdate)
    )
    removal_rank = 75
    names = NameRule(
        r"[A-Za-z0-9_][A-Za-z0-9_-]{2,127}",
        "BadRequest",
        "The resource name '{name}' is invalid. It must be between 3 and 128 characters, start with a letter, number or "
        "underscore and contain only letters, numbers, hyphens and underscores.",
    )

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties: Document = {
            "tenantId": call.arm.services.tenant_id,
            "principalId": str(uuid.uuid4()),
            "clientId": str(uuid.uuid4()),
        }
        if current:
            properties = dict(current.properties)
        _refuse_unknown(call, {"isolationScope", *READ_ONLY}, "a user-assigned identity")
        isolation = call.properties.get("isolationScope")
        if isolation not in (None, *ISOLATION):
            text = f"The isolation scope '{isolation}' is not valid. Possible values: {', '.join(ISOLATION)}."
            raise errors.ArmError(400, "BadRequest", text)
        if isolation is not None:
            properties["isolationScope"] = isolation
        return {"tags": call.document.get("tags") or {}, "properties": properties}

    def written(self, call: Call, stored: Stored) -> None:
        directory, found = call.arm.services.entra.directory, stored.properties
        if directory.get(found["principalId"]) is None:
            directory.create_service_principal(
                stored.name,
                "ManagedIdentity",
                found["clientId"],
                alternative_names=("isExplicit=True", _written(stored.resource_id)),
                object_id=found["principalId"],
            )

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"id": _written(stored.resource_id)}

    async def put(self, call: Call) -> Answer:
        answer = await super().put(call)
        if answer.status == 201:
            answer.headers["Location"] = _written(call.id)  # relative, as Azure writes it
        return answer

    async def remove(self, arm: Arm, stored: Stored) -> None:
        directory = arm.services.entra.directory
        directory.federated_credentials.drop(stored.properties["clientId"])
        if directory.get(stored.properties["principalId"]):
            directory.delete(stored.properties["principalId"])

    @action("listAssociatedResources")
    async def associated(self, call: Call, stored: Stored | None) -> Answer:
        """Resources that have this identity."""
        assert stored is not None
        value = [
            {
                "id": other.id,
                "name": other.name,
                "type": other.type.lower(),
                "resourceGroup": other.resource_id.group,
                "subscriptionId": other.resource_id.subscription,
                "subscriptionDisplayName": "",
            }
            for other in call.arm.resources.all()
            if any(
                key.lower() == stored.id.lower()
                for key in ((other.body.get("identity") or {}).get("userAssignedIdentities") or {})
            )
        ]
        return Answer(200, {"totalCount": len(value), "value": value})


class FederatedCredentials(ResourceType):
    """…/federatedIdentityCredentials: which external tokens may sign in as the identity."""

    name = "userAssignedIdentities/federatedIdentityCredentials"
    has_state = False
    names = NameRule(
        r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}",
        "BadRequest",
        "The federated identity credential name '{name}' is invalid. It must be 3 to 120 characters, start with a letter or "
        "number and contain only letters, numbers, hyphens and underscores.",
    )

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties = call.properties
        _refuse_unknown(call, {"issuer", "subject", "audiences"}, "a federated identity credential")
        issuer, subject, audiences = (properties.get(key) for key in ("issuer", "subject", "audiences"))
        for key, value in (("issuer", issuer), ("subject", subject), ("audiences", audiences)):
            if not value:
                raise errors.ArmError(
                    400, "BadRequest", f"The property '{key}' of a federated identity credential is required."
                )
        if not str(issuer).startswith("https://"):
            raise errors.ArmError(400, "BadRequest", f"The issuer '{issuer}' must be an https URL.")
        if not isinstance(audiences, list) or len(audiences) != 1:
            raise errors.ArmError(400, "BadRequest", "A federated identity credential must have exactly one audience.")
        parent = call.id.parent
        assert parent is not None
        others = [s for s in call.arm.resources.children(parent, CREDENTIALS) if s.id.lower() != call.id.key]
        if any(o.properties["issuer"] == issuer and o.properties["subject"] == subject for o in others):
            text = "Issuer and subject combination already exists for this Managed Identity."
            raise errors.ArmError(409, "Conflict", text)
        if current is None and len(others) >= LIMIT:
            text = (
                f"Too many Federated Identity Credentials are created for this Managed Identity. The limit is {LIMIT}."
            )
            raise errors.ArmError(409, "Conflict", text)
        return {"properties": {"issuer": issuer, "subject": subject, "audiences": audiences}}

    async def put(self, call: Call) -> Answer:
        answer = await super().put(call)
        if answer.status == 201:
            answer.headers["Location"] = _written(call.id)
        return answer

    def written(self, call: Call, stored: Stored) -> None:
        parent = stored.resource_id.parent
        identity = call.arm.resources.get(parent) if parent else None
        if identity:
            found = stored.properties
            call.arm.services.entra.directory.federated_credentials.put(
                FederatedCredential(
                    identity.properties["clientId"],
                    stored.name,
                    found["issuer"],
                    found["subject"],
                    tuple(found["audiences"]),
                ),
                seconds=PROPAGATION,
            )

    async def remove(self, arm: Arm, stored: Stored) -> None:
        parent = stored.resource_id.parent
        identity = arm.resources.get(parent) if parent else None
        if identity:
            arm.services.entra.directory.federated_credentials.delete(identity.properties["clientId"], stored.name)

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"id": _written(stored.resource_id)}
