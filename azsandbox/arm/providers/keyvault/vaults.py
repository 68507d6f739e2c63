"""Microsoft.KeyVault/vaults."""

from __future__ import annotations

import copy
import datetime as dt
from typing import TYPE_CHECKING

from azsandbox.arm import errors, polling
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import when
from azsandbox.arm.provider import NameRule
from azsandbox.arm.providers.authorization.policy_objects import system_data
from azsandbox.arm.providers.keyvault import deleted_vaults, names, vault_body
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

SUFFIX = ".vault.azure.net"
SERVICE_VERSION = "1.5.1541.0"  # x-ms-keyvault-service-version in azure-cli recordings of 2023 to 2025


class _Names(NameRule):
    def check(self, name: str) -> None:
        if not names.NAME.fullmatch(name):
            raise errors.ArmError(400, "VaultNameNotValid", names.invalid(name))


class Vaults(ResourceType):
    """A vault: made at once, reachable when its name is in DNS, kept for its retention when it is deleted."""

    name = "vaults"
    tracked = True
    patch_merges = True
    created_status = 200
    removal_rank = 70
    names = _Names()

    def headers(self, call: Call) -> dict[str, str]:
        return {"x-ms-keyvault-service-version": SERVICE_VERSION}

    async def accept(self, call: Call, current: Stored | None) -> Document:
        call.private["systemData"] = system_data(call, current)
        if current is None:
            mode = str(call.properties.get("createMode") or "default").lower()
            if mode not in ("default", "recover"):
                raise vault_body.bad(f"Invalid value found at properties.createMode: {mode}")
            found = deleted_vaults.recoverable(call.arm, call.id.name)
            if mode == "recover":
                return self._recover(call, found)
            self._check_free(call, found)
        properties = vault_body.accepted(
            call.properties, current.properties if current else {}, call.api_version, call.arm.services.tenant_id
        )
        name = current.body["name"] if current else call.id.name
        properties["vaultUri"] = f"https://{name.lower()}{SUFFIX}/"
        return {"tags": call.document.get("tags") or {}, "properties": properties}

    @staticmethod
    def _check_free(call: Call, found: deleted_vaults.DeletedVault | None) -> None:
        name = call.id.name
        if found is not None:
            raise errors.ArmError(
                409,
                "ConflictError",
                "A vault with the same name already exists in deleted state. You need to either recover or purge existing "
                "key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft "
                "delete.",
            )
        if names.holder(call.arm, name) is not None:
            raise errors.ArmError(409, "VaultAlreadyExists", names.in_use(name))

    @staticmethod
    def _recover(call: Call, found: deleted_vaults.DeletedVault | None) -> Document:
        """The vault as it was; it comes back where it was, with all that it held."""
        if found is None or found.body["id"].lower() != str(call.id).lower():
            text = f"The specified deleted vault '{call.id.name}' does not exist."
            raise errors.ArmError(404, "DeletedVaultNotFound", text)
        return {"tags": found.body.get("tags") or {}, "properties": copy.deepcopy(found.body["properties"])}

    def written(self, call: Call, stored: Stored) -> None:
        deleted_vaults.forget(call.arm, stored.name, contents=False)

    def present(self, call: Call, stored: Stored) -> Document:
        body = {**stored.body, "systemData": stored.private["systemData"]}
        if self._registering(call, stored):
            properties = {**stored.properties, "provisioningState": "RegisteringDns"}
            properties["vaultUri"] = properties["vaultUri"].rstrip("/")
            body["properties"] = properties
        return body

    def _registering(self, call: Call, stored: Stored) -> bool:
        """Whether the name of a new vault is not in DNS yet; always so in the answer that makes it."""
        if call.method == "PUT" and stored.created == stored.changed:
            return True
        clock = call.arm.services.clock
        seconds = clock.scaled(vault_body.facts()["registeringSeconds"])
        return bool(clock.now() < when(stored.created) + dt.timedelta(seconds=seconds))

    def answer(self, call: Call, status: int, stored: Stored) -> Answer:
        answer = super().answer(call, status, stored)
        if self._registering(call, stored):
            answer.headers |= polling.delay(call.arm, 5)
        return answer

    async def remove(self, arm: Arm, stored: Stored) -> None:
        """A deleted vault can be recovered until its retention is over."""
        deleted_vaults.keep(arm, stored)
