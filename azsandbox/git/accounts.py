"""Accounts of the Git host: the lab's organization, and the lab's people as its members."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from azsandbox.entra import facts as entra_facts
from azsandbox.git import facts

if TYPE_CHECKING:
    from azsandbox.git.repositories import Settings

Permission = Literal["none", "pull", "push", "admin"]
LEVELS: tuple[Permission, ...] = ("none", "pull", "push", "admin")

_FIRST_ID = 100_000_000


@dataclass(frozen=True)
class Account:
    """A user or an organization. `persona` is the key of the person, "" for an organization."""

    login: str
    id: int
    kind: Literal["User", "Organization"]
    name: str
    persona: str = ""
    address: str = ""  # the person's own e-mail address

    @property
    def email(self) -> str:
        """The address under which GitHub commits for the account."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


class Accounts:
    """The accounts, by login; case does not matter. `people` is what data/personas.json says."""

    def __init__(self, people: dict[str, Any] | None = None) -> None:
        described = people or entra_facts.personas()
        known = facts.github()
        self._members: dict[str, Permission] = known["members"]
        organization = known["organization"]
        self.organization = Account(
            organization["login"], _number(organization["login"]), "Organization", organization["name"]
        )
        self._accounts = {self.organization.login: self.organization}
        for login, name in facts.public()["owners"].items():
            self._accounts[login.lower()] = Account(login, _number(login), "Organization", name)
        for person in described["personas"]:
            login = person["mail"].lower()
            address = f"{person['mail']}@{described['domain']}"
            self._accounts[login] = Account(login, _number(login), "User", person["name"], person["key"], address)
        self.learner = self.of_persona(described["signed_in"])

    def get(self, login: str) -> Account | None:
        """The account of that login, or None."""
        return self._accounts.get(login.lower())

    def of_persona(self, key: str) -> Account:
        """The account of a person. Raises KeyError."""
        return next(a for a in self._accounts.values() if a.persona and a.persona == key)

    def users(self) -> list[Account]:
        """The people, the learner among them."""
        return [a for a in self._accounts.values() if a.kind == "User"]

    def by_email(self, email: str) -> Account | None:
        """Whose address a commit carries, or None."""
        wanted = email.lower()
        return next((a for a in self.users() if wanted in (a.email.lower(), a.address.lower())), None)

    def permission(self, account: Account | None, settings: Settings) -> Permission:
        """What `account` (None: nobody who signed in) may do with a repository."""
        public: Permission = "none" if settings.private else "pull"
        if account is None:
            return public
        if account.login.lower() == settings.owner.lower():
            return "admin"
        if settings.owner.lower() == self.organization.login.lower():
            return self._members.get(account.persona, public)
        return public

    def may_create(self, account: Account, owner: Account) -> bool:
        """Whether `account` may make repositories of `owner`: its own, and those of the organization it administers."""
        return account == owner or (owner == self.organization and self._members.get(account.persona) == "admin")


def at_least(found: Permission, wanted: Permission) -> bool:
    """Whether a permission includes another."""
    return LEVELS.index(found) >= LEVELS.index(wanted)


def _number(login: str) -> int:
    """A numeric id that is the same in every sandbox."""
    return _FIRST_ID + zlib.crc32(login.lower().encode()) % _FIRST_ID
