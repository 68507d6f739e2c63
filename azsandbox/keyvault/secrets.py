"""The secrets of one vault: versions, attributes, soft delete ("About Azure Key Vault secrets")."""

from __future__ import annotations

import json
import re
import secrets as randomness
from dataclasses import asdict, dataclass, field
from typing import Any

from azsandbox.arm.facts import read
from azsandbox.clock import Clock
from azsandbox.keyvault import errors
from azsandbox.store import Bucket

COLLECTION = "secrets"
DAY = 86_400
NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")


@dataclass
class Version:
    """One version of a secret. Times are seconds of the epoch."""

    id: str
    value: str = field(repr=False)
    created: int = 0
    updated: int = 0
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None


@dataclass
class Secret:
    """A secret with its versions, the newest last; `deleted` is when it was deleted."""

    name: str
    versions: list[Version]
    deleted: int | None = None

    @property
    def current(self) -> Version:
        return self.versions[-1]

    def version(self, id_: str) -> Version:
        """The version of that id, or the current one for "". Raises VaultError."""
        if not id_:
            return self.current
        found = next((v for v in self.versions if v.id == id_.lower()), None)
        if found is None:
            raise errors.secret_not_found(self.name, id_)
        return found


class Secrets:
    """Reads and writes the secrets of the vault `vault` (its name in lower case)."""

    def __init__(self, bucket: Bucket, clock: Clock, vault: str, retention_days: int, protected: bool) -> None:
        self._bucket, self._clock, self._vault = bucket, clock, vault
        self.retention_days, self.protected = retention_days, protected

    @property
    def recovery_level(self) -> str:
        """What attributes say of recovery: by the retention, and whether one may purge."""
        level = "Recoverable" if self.retention_days == read("keyvault.json")["retentionDays"]["most"] else ""
        return (level or "CustomizedRecoverable") + ("" if self.protected else "+Purgeable")

    def purged_at(self, secret: Secret) -> int:
        """When a deleted secret goes by itself."""
        return (secret.deleted or 0) + self.retention_days * DAY

    # --- reading

    def find(self, name: str) -> Secret | None:
        """The secret of that name, deleted or not; None without one."""
        record = self._bucket.get(COLLECTION, self._key(name))
        return self._load(record.value) if record else None

    def get(self, name: str) -> Secret:
        """A secret that is there. Raises VaultError."""
        check_name(name)
        found = self.find(name)
        if found is None or found.deleted is not None:
            raise errors.secret_not_found(name)
        return found

    def get_deleted(self, name: str) -> Secret:
        """A deleted secret. Raises VaultError."""
        check_name(name)
        found = self.find(name)
        if found is None or found.deleted is None:
            raise errors.deleted_secret_not_found(name)
        return found

    def all(self, *, deleted: bool = False) -> list[Secret]:
        """The secrets, or the deleted ones, by name."""
        loaded = [self._load(record.value) for record in self._bucket.list(COLLECTION, f"{self._vault}/")]
        return [secret for secret in loaded if secret is not None and (secret.deleted is not None) is deleted]

    # --- writing

    def set(self, name: str, value: str, **more: Any) -> tuple[Secret, Version]:
        """A new version, which is the current one from now on. Raises VaultError."""
        check_name(name)
        found = self.find(name)
        if found is not None and found.deleted is not None:
            raise errors.deleted_but_recoverable(found.name)
        now = self._now()
        version = Version(randomness.token_hex(16), value, now, now, **more)
        secret = found or Secret(name, [])
        secret.versions.append(version)
        self._save(secret)
        return secret, version

    def update(self, name: str, id_: str, changes: dict[str, Any]) -> tuple[Secret, Version]:
        """Changes attributes, content type or tags of a version, never its value. Raises VaultError."""
        secret = self.get(name)
        version = secret.version(id_)
        for key, value in changes.items():
            setattr(version, key, value)
        version.updated = self._now()
        self._save(secret)
        return secret, version

    def delete(self, name: str) -> Secret:
        """Deletes all versions; they can be recovered. Raises VaultError."""
        secret = self.get(name)
        secret.deleted = self._now()
        self._save(secret)
        return secret

    def recover(self, name: str) -> Secret:
        """Brings a deleted secret back. Raises VaultError."""
        secret = self.get_deleted(name)
        secret.deleted = None
        self._save(secret)
        return secret

    def purge(self, name: str) -> None:
        """Forgets a deleted secret for good. Raises VaultError; the caller has asked whether the vault is protected."""
        self._bucket.delete(COLLECTION, self._key(self.get_deleted(name).name))

    # --- inside

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _key(self, name: str) -> str:
        return f"{self._vault}/{name.lower()}"

    def _load(self, value: bytes) -> Secret | None:
        """A secret as kept; None, and gone, once its retention is over."""
        found = json.loads(value)
        secret = Secret(found["name"], [Version(**version) for version in found["versions"]], found["deleted"])
        if secret.deleted is not None and self._now() >= self.purged_at(secret):
            self._bucket.delete(COLLECTION, self._key(secret.name))
            return None
        return secret

    def _save(self, secret: Secret) -> None:
        self._bucket.put(COLLECTION, self._key(secret.name), json.dumps(asdict(secret)).encode())


def check_name(name: str) -> None:
    """Raises what Key Vault says of a name that no secret can have."""
    if not NAME.fullmatch(name):
        raise errors.bad_parameter(f"The request URI contains an invalid name: {name}")
