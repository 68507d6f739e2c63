"""The data plane of key vaults, at https://NAME.vault.azure.net.

vaults      the vaults that exist, as Resource Manager has them, and what they hold
secrets     the secrets of one vault: versions, attributes, soft delete
access      who may do what: role assignments, or access policies; and from where
api         the requests and answers
"""

from __future__ import annotations

from azsandbox.keyvault.api import DataPlane
from azsandbox.keyvault.vaults import Vaults

__all__ = ["DataPlane", "Vaults"]
