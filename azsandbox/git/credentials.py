"""Who asks: what a request's Authorization header says."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azsandbox.git.accounts import Account, Accounts, Permission
from azsandbox.git.tokens import Token, Tokens

if TYPE_CHECKING:
    from azsandbox.git.repositories import Settings


class BadCredentials(Exception):
    """A token was given that the sandbox did not issue."""


@dataclass(frozen=True)
class Viewer:
    """Who asks, and with which token; nobody, when both are None."""

    account: Account | None = None
    token: Token | None = None

    @property
    def login(self) -> str:
        """The login, "" for nobody."""
        return self.account.login if self.account else ""

    def role(self, accounts: Accounts, settings: Settings) -> Permission:
        """What the account may do with a repository, whatever token it uses."""
        return accounts.permission(self.account, settings)

    @property
    def reads_only(self) -> bool:
        """Whether the token does not let anything be changed."""
        return self.token is not None and self.token.access == "read"


def viewer(authorization: str, accounts: Accounts, tokens: Tokens) -> Viewer:
    """Who an Authorization header speaks for: `Basic` with any user name and the token as the password (or as the user
    name), `Bearer` or `token`. Raises BadCredentials."""
    if not authorization.strip():
        return Viewer()
    scheme, _, value = authorization.strip().partition(" ")
    given: list[str] = []
    if scheme.lower() == "basic":
        user, _, password = _decoded(value.strip()).partition(":")
        given = [password] if password and password != "x-oauth-basic" else [user]  # noqa: S105 - GitHub's placeholder
    elif scheme.lower() in ("bearer", "token"):
        given = [value.strip()]
    for text in given:
        token = tokens.find(text)
        account = accounts.get(token.login) if token else None
        if account is not None:
            return Viewer(account, token)
    raise BadCredentials("the token is not one of the sandbox")


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
