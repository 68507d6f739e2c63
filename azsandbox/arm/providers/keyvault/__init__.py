"""Microsoft.KeyVault: vaults, those deleted but recoverable, and their access policies. What they hold is in azsandbox/keyvault."""

from __future__ import annotations

from azsandbox.arm.provider import Provider
from azsandbox.arm.resource_type import ResourceType

TYPES = ("vaults", "vaults/accessPolicies", "deletedVaults", "locations/deletedVaults", "checkNameAvailability")


class KeyVault(Provider):
    """The namespace Microsoft.KeyVault."""

    namespace = "Microsoft.KeyVault"

    def __init__(self) -> None:
        super().__init__([])
        self.late(_types, *TYPES)


def _types() -> list[ResourceType]:
    from azsandbox.arm.providers.keyvault.access_policies import AccessPolicies
    from azsandbox.arm.providers.keyvault.deleted_vaults import DeletedVaults, DeletedVaultsOfLocation
    from azsandbox.arm.providers.keyvault.names import CheckNameAvailability
    from azsandbox.arm.providers.keyvault.vaults import Vaults

    return [Vaults(), AccessPolicies(), DeletedVaults(), DeletedVaultsOfLocation(), CheckNameAvailability()]
