"""Vaults that were deleted: kept for their retention, then gone; recovered by a PUT, or purged before.

Rules: "Azure Key Vault soft-delete overview"; bodies: azure-rest-api-specs, examples getDeletedVault and purgeDeletedVault.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Style, Work, when
from azsandbox.arm.provider import action
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

COLLECTION = "deletedVaults"
PURGE_SECONDS = 10.0  # the sandbox's own choice


@dataclass(frozen=True)
class DeletedVault:
    """A vault as it was when it was deleted, and when (as `timestamp` writes it)."""

    body: Document
    deleted: str

    @property
    def name(self) -> str:
        return str(self.body["name"])

    @property
    def purged_at(self) -> dt.datetime:
        """When Azure forgets it by itself."""
        days = int(self.body["properties"]["softDeleteRetentionInDays"])
        return when(self.deleted) + dt.timedelta(days=days)

    @property
    def protected(self) -> bool:
        """Whether nobody may purge it before."""
        return bool(self.body["properties"].get("enablePurgeProtection"))

    def document(self, subscription: str) -> Document:
        """The vault as Azure lists it among the deleted ones."""
        location = self.body["location"]
        properties: Document = {
            "vaultId": self.body["id"],
            "location": location,
            "tags": self.body.get("tags") or {},
            "deletionDate": _short(when(self.deleted)),
            "scheduledPurgeDate": _short(self.purged_at),
        }
        if self.protected:
            properties["purgeProtectionEnabled"] = True
        return {
            "id": address(subscription, location, self.name),
            "name": self.name,
            "type": TYPE,
            "properties": properties,
        }


TYPE = "Microsoft.KeyVault/deletedVaults"


def address(subscription: str, location: str, name: str) -> str:
    """The id of a deleted vault."""
    return f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}"


def keep(arm: Arm, stored: Stored) -> None:
    """Writes down a vault that is deleted now."""
    kept = {"body": stored.body, "deleted": timestamp(arm.services.clock)}
    arm.services.store.put(COLLECTION, stored.name.lower(), orjson.dumps(kept))


def recoverable(arm: Arm, name: str) -> DeletedVault | None:
    """The deleted vault of a name; None once its retention is over, and then what it held is gone."""
    record = arm.services.store.get(COLLECTION, name.lower())
    if record is None:
        return None
    found = DeletedVault(**orjson.loads(record.value))
    if arm.services.clock.now() < found.purged_at:
        return found
    forget(arm, name, contents=True)
    return None


def forget(arm: Arm, name: str, *, contents: bool) -> None:
    """Takes a vault off the deleted ones; `contents` says whether its secrets go for good."""
    if arm.services.store.get(COLLECTION, name.lower()) is None:
        return
    with arm.atomic():
        arm.services.store.delete(COLLECTION, name.lower())
        if contents:
            arm.services.vaults.drop(name)


def every(arm: Arm) -> list[DeletedVault]:
    """All deleted vaults, by name."""
    names = [record.key for record in arm.services.store.list(COLLECTION)]
    return [found for name in names if (found := recoverable(arm, name)) is not None]


class DeletedVaults(ResourceType):
    """The list of a subscription's deleted vaults."""

    name = "deletedVaults"
    scopes = ("subscription",)
    stored = False

    async def list(self, call: Call) -> Answer:
        return call.page([found.document(call.subscription) for found in every(call.arm)])


class DeletedVaultsOfLocation(ResourceType):
    """A deleted vault by its location and name; it can be purged."""

    name = "locations/deletedVaults"
    scopes = ("subscription",)
    stored = False
    parent_stored = False
    style = Style(
        result_path="/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/operationResults/{id}",
        result_on=("POST",),
        done=200,
    )

    def _found(self, call: Call) -> DeletedVault:
        location, name = call.id.names
        found = recoverable(call.arm, name)
        if found is None or found.body["location"] != call.arm.facts.location(location):
            text = f"The specified deleted vault '{name}' does not exist."
            raise errors.ArmError(404, "DeletedVaultNotFound", text)
        return found

    async def get(self, call: Call) -> Answer:
        return Answer(200, self._found(call).document(call.subscription))

    @action("purge")
    async def purge(self, call: Call, stored: Stored | None) -> Answer:
        """Forgets the vault and all that it held, for good."""
        found = self._found(call)
        if found.protected:
            raise errors.ArmError(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
        id_ = address(call.subscription, found.body["location"], found.name)
        target = Stored(id_, self.full_name, {"location": found.body["location"]})
        with call.arm.atomic():
            operation = self.begin(call, "purge", target, PURGE_SECONDS)
        return Answer(202, None, self.operation_headers(call, operation))

    async def perform(self, work: Work) -> None:
        await work.wait()
        forget(work.arm, work.operation.resource.rsplit("/", 1)[-1], contents=True)


def _short(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
