"""The registry's own tokens: refresh tokens, which say who somebody is, and access tokens, which say what one may do.

Both are signed JWTs with the claims of Azure's ("Azure Container Registry integration with Azure Active Directory",
token claim sets). The key is this installation's own.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from azsandbox.clock import Clock
from azsandbox.registry.names import Grant
from azsandbox.store import Bucket

KEYS = "keys"
ISSUER = "Azure Container Registry"
REFRESH_SECONDS = 3 * 3600  # "az acr login: the token is valid for 3 hours"
ACCESS_SECONDS = 75 * 60


class Refused(Exception):
    """A token is no token of this registry, or no longer valid."""


@dataclass(frozen=True)
class Access:
    """What an access token carries: whose it is and what it grants."""

    subject: str
    grants: tuple[Grant, ...]


class Tokens:
    """Issues and checks tokens; `audience` is always the host name that the client uses."""

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket, self._clock = bucket, clock

    @property
    def _key(self) -> bytes:
        record = self._bucket.get(KEYS, "tokens")
        return (record or self._bucket.put(KEYS, "tokens", secrets.token_bytes(32))).value

    def refresh(self, audience: str, object_id: str, name: str, tenant: str, actions: list[str]) -> str:
        """A refresh token of an identity. `actions` are shown to whoever looks; they are looked up again at each use."""
        permissions = {"Actions": actions, "NotActions": None}
        claims = {"tenant": tenant, "oid": object_id, "permissions": permissions, "roles": []}
        return self._issue(audience, name, "refresh_token", REFRESH_SECONDS, claims)

    def access(self, audience: str, subject: str, grants: list[Grant]) -> str:
        """An access token for these grants."""
        access = [{"type": g.type, "name": g.name, "actions": list(g.actions)} for g in grants]
        return self._issue(audience, subject, "access_token", ACCESS_SECONDS, {"access": access, "roles": []})

    def read_refresh(self, token: str, audience: str) -> str:
        """The object id of whom a refresh token is. Raises Refused."""
        return str(self._read(token, audience, "refresh_token")["oid"])

    def read_access(self, token: str, audience: str) -> Access:
        """What an access token carries. Raises Refused."""
        claims = self._read(token, audience, "access_token")
        grants = [Grant(a["type"], a["name"], tuple(a["actions"])) for a in claims["access"]]
        return Access(str(claims["sub"]), tuple(grants))

    def _issue(
        self,
        audience: str,
        subject: str,
        kind: Literal["refresh_token", "access_token"],
        seconds: int,
        more: dict[str, Any],
    ) -> str:
        import jwt

        now = int(self._clock.now().timestamp())
        claims = {
            "jti": str(uuid.uuid4()),
            "sub": subject,
            "nbf": now,
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "aud": audience,
            "version": "1.0",
            "grant_type": kind,
        }
        return jwt.encode(claims | more, self._key, algorithm="HS256")

    def _read(self, token: str, audience: str, kind: str) -> dict[str, Any]:
        import jwt

        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}  # the clock may be a test's
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key, algorithms=["HS256"], audience=audience, issuer=ISSUER, options=options
            )
        except jwt.InvalidTokenError as error:
            raise Refused(str(error)) from None
        if claims.get("grant_type") != kind:
            raise Refused(f"the token is no {kind}")
        if float(claims.get("exp", 0)) <= self._clock.now().timestamp():
            raise Refused("the token has expired")
        return claims
