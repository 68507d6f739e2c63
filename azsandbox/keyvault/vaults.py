"""The vaults that exist, as Resource Manager has them, and where what they hold lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from azsandbox.clock import Clock
from azsandbox.keyvault.secrets import Secrets
from azsandbox.store import Bucket, Store

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resources import Stored
    from azsandbox.keyvault.access import Permissions

TYPE = "Microsoft.KeyVault/vaults"
SUFFIX = ".vault.azure.net"


class VaultHost(Protocol):
    """What the vaults need of the process that they live in."""

    @property
    def state(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def entra(self) -> Any: ...
    @property
    def arm(self) -> Arm: ...


@dataclass(frozen=True)
class Vault:
    """One vault: its resource, and its secrets."""

    resource: Stored
    secrets: Secrets

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def location(self) -> str:
        return str(self.resource.body["location"])

    @property
    def properties(self) -> dict[str, Any]:
        return self.resource.properties

    @property
    def described(self) -> str:
        """How Key Vault names it in its messages."""
        return f"{self.name};location={self.location}"


class Vaults:
    """All vaults of a sandbox."""

    def __init__(self, host: VaultHost) -> None:
        self.host = host
        self._held: tuple[int, dict[str, str]] = (-1, {})

    @property
    def bucket(self) -> Bucket:
        """Where what vaults hold is kept."""
        return self.host.state.bucket("keyvault")

    @cached_property
    def permissions(self) -> Permissions:
        """Who may do what in them."""
        from azsandbox.keyvault.access import Permissions

        return Permissions(self.host.arm)

    def at(self, host: str) -> Vault | None:
        """The vault whose host name it is (without port), or None, as if the name were not in DNS."""
        host = host.lower().rstrip(".")
        return self.get(host.removesuffix(SUFFIX)) if host.endswith(SUFFIX) else None

    def get(self, name: str) -> Vault | None:
        """The vault of that name."""
        id_ = self._ids().get(name.lower())
        stored = self.host.arm.resources.get(id_) if id_ else None
        return Vault(stored, self._secrets(stored)) if stored is not None else None

    def drop(self, name: str) -> None:
        """Forgets all that a vault held."""
        for collection in ("secrets",):
            for record in self.bucket.list(collection, f"{name.lower()}/"):
                self.bucket.delete(collection, record.key)

    def _secrets(self, stored: Stored) -> Secrets:
        properties = stored.properties
        return Secrets(
            self.bucket,
            self.host.clock,
            stored.name.lower(),
            int(properties["softDeleteRetentionInDays"]),
            bool(properties.get("enablePurgeProtection")),
        )

    def _ids(self) -> dict[str, str]:
        """The vaults' ids by name, read again only when resources have changed."""
        resources = self.host.arm.resources
        revision, held = self._held
        if revision != resources.bucket.revision:
            held = {stored.name.lower(): stored.id for stored in resources.all(TYPE)}
            self._held = (resources.bucket.revision, held)
        return held
