"""Names of vaults: their form, and that each is taken once in all of Azure, by deleted ones too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

VAULTS = "Microsoft.KeyVault/vaults"
NAME = re.compile(r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]")


def holder(arm: Arm, name: str) -> Stored | None:
    """The vault that has a name, wherever it lies."""
    return next((s for s in arm.resources.all(VAULTS) if s.name.lower() == name.lower()), None)


def invalid(name: str) -> str:
    """What Azure says of a name that no vault can have."""
    return (
        f"The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must "
        "begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link for more "
        "information: https://go.microsoft.com/fwlink/?linkid=2147742"
    )


def in_use(name: str) -> str:
    """What Azure says of a name that a vault has ("globaly" is Azure's own spelling)."""
    return (
        f"The vault name '{name}' is already in use. Vault names are globaly unique so it is possible that the name is "
        "already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same "
        "name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a "
        "recoverable state then the vault will need to be purged before reusing the name. For more information on soft "
        "delete and purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740."
    )


class CheckNameAvailability(ResourceType):
    """POST …/checkNameAvailability, which Azure lists as a type."""

    name = "checkNameAvailability"
    scopes = ("subscription",)
    stored = False
    post_verb = "read"

    async def post_collection(self, call: Call) -> Answer:
        """Whether a vault can have the name; always 200."""
        from azsandbox.arm.providers.keyvault.deleted_vaults import recoverable

        name, kind = call.document.get("name"), call.document.get("type")
        if not isinstance(name, str) or not name:
            raise errors.ArmError(400, "BadRequest", "The parameter name is not specified.")
        if not isinstance(kind, str) or kind.lower() != VAULTS.lower():
            raise errors.ArmError(400, "BadRequest", f"The parameter type must be '{VAULTS}'.")
        if not NAME.fullmatch(name):
            return Answer(200, {"nameAvailable": False, "reason": "AccountNameInvalid", "message": invalid(name)})
        if holder(call.arm, name) is not None or recoverable(call.arm, name) is not None:
            return Answer(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": in_use(name)})
        return Answer(200, {"nameAvailable": True})
