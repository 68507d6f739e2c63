"""Entra ID: tokens, and the directory behind them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import cached_property

from azsandbox.clock import Clock
from azsandbox.dispatch import Receive, Scope, Send
from azsandbox.entra import facts
from azsandbox.entra.directory import Directory, DirectoryError, Principal
from azsandbox.entra.federation import FederatedCredential, FederatedCredentials
from azsandbox.entra.tokens import Identity, TokenError, Tokens
from azsandbox.store import Bucket

__all__ = [
    "Directory",
    "DirectoryError",
    "Entra",
    "FederatedCredential",
    "FederatedCredentials",
    "Identity",
    "Persona",
    "Principal",
    "TokenError",
]


@dataclass(frozen=True)
class Persona:
    """A person of the lab."""

    key: str
    object_id: str
    display_name: str
    user_principal_name: str
    groups: tuple[str, ...]  # names
    subscription_owner: bool


class Entra:
    """The tenant of a sandbox: its directory, its tokens, and the endpoints of login, Graph and managed identity."""

    def __init__(self, bucket: Bucket, clock: Clock, tenant_id: str, subscription_id: str) -> None:
        self.tenant_id, self.subscription_id = tenant_id, subscription_id
        self.bucket, self.clock = bucket, clock
        self.directory = Directory(bucket, clock, tenant_id)
        self.tokens = Tokens(bucket, clock, self.directory)
        self.endpoint = "https://login.microsoftonline.com"  # where clients of mode A find it
        self.plain_endpoint = ""  # where a browser finds the device page

    # --- people

    def personas(self) -> list[Persona]:
        """The people of the lab; the learner first."""
        return list(self._personas.values())

    @cached_property
    def _personas(self) -> dict[str, Persona]:
        described = facts.personas()
        found = {}
        for persona in described["personas"]:
            found[persona["key"]] = Persona(
                persona["key"],
                self.directory.seeded_id("user", persona["key"]),
                persona["name"],
                f"{persona['mail']}@{self.directory.domain}",
                tuple(persona["groups"]),
                persona["subscription_owner"],
            )
        return found

    @property
    def learner(self) -> Persona:
        """Who is signed in."""
        return self._personas[facts.personas()["signed_in"]]

    @property
    def owner_ids(self) -> tuple[str, ...]:
        """Object ids of those who own the subscription from the start."""
        return tuple(p.object_id for p in self.personas() if p.subscription_owner)

    def identity_header(self, object_id: str) -> str:
        """The secret with which the managed identity endpoint speaks for a persona."""
        key = self._identity_secret
        return hmac.new(key, object_id.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def _identity_secret(self) -> bytes:
        return self.tokens.secret("identity-header")

    # --- tokens

    def issue(self, principal_id: str, resource: str, *, lifetime: int = 3600) -> str:
        """An access token of a principal for `resource`, valid for `lifetime` seconds. Raises KeyError."""
        return self.tokens.issue(principal_id, resource, lifetime=lifetime)

    def verify(self, token: str, audiences: tuple[str, ...] | None = None) -> Identity:
        """Whom `token` speaks for. Raises TokenError."""
        return self.tokens.verify(token, audiences)

    def now(self) -> int:
        """The time in seconds, as tokens write it."""
        return int(self.clock.now().timestamp())

    # --- web

    def listens(self, endpoint: str, plain_endpoint: str) -> None:
        """Says where clients of mode A find it, and where plain http is spoken."""
        self.endpoint, self.plain_endpoint = endpoint, plain_endpoint

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of login.microsoftonline.com, graph.microsoft.com and the managed identity endpoints."""
        from azsandbox.entra.routes import answer

        await answer(self, scope, receive, send)
