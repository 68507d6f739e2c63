"""Federated credentials: whose tokens of which issuer stand in for an application's secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from azsandbox.clock import Clock
from azsandbox.store import Bucket

COLLECTION = "federated"
AUDIENCE = "api://AzureADTokenExchange"
PROPAGATION = 10.0  # seconds that a new credential takes to arrive; Microsoft says a few

Keys = Callable[[], dict[str, Any]]  # gives an issuer's JSON web key set


@dataclass(frozen=True)
class FederatedCredential:
    """Tokens of `issuer` for `subject` sign in as the application or identity `app_id`."""

    app_id: str
    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...] = (AUDIENCE,)
    description: str | None = None
    id: str = ""
    known_from: float = 0.0  # seconds of the epoch: when sign-in has heard of it


class AssertionRefused(Exception):
    """No credential matches an assertion; `number` is the AADSTS code."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number, self.message = number, message


class FederatedCredentials:
    """The registered credentials, and the keys of the issuers that the sandbox knows.

    Applications get theirs by Graph, managed identities by Resource Manager; a cluster with an OIDC issuer
    enters its keys with `trust`.
    """

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket, self._clock = bucket, clock
        self._issuers: dict[str, Keys] = {}
        self._finders: list[Callable[[str], dict[str, Any] | None]] = []

    def put(self, credential: FederatedCredential, *, seconds: float = 0.0) -> FederatedCredential:
        """Stores a credential; one of the same application and name is replaced. `seconds` are Azure's until sign-in
        has heard of it ("Workload identity federation considerations": a few, after it was added)."""
        old = self.get(credential.app_id, credential.name)
        known_from = self._clock.now().timestamp() + self._clock.scaled(seconds) if seconds else 0.0
        same = old and (old.issuer, old.subject, old.audiences) == (
            credential.issuer,
            credential.subject,
            credential.audiences,
        )
        kept = FederatedCredential(
            **asdict(credential)
            | {
                "id": credential.id or (old.id if old else str(uuid.uuid4())),
                "known_from": old.known_from if old and same else known_from,
            }
        )
        self._bucket.put(COLLECTION, self._key(credential.app_id, credential.name), json.dumps(asdict(kept)).encode())
        return kept

    def get(self, app_id: str, name: str) -> FederatedCredential | None:
        """The credential of that name, or None."""
        record = self._bucket.get(COLLECTION, self._key(app_id, name))
        return _read(record.value) if record else None

    def of(self, app_id: str) -> list[FederatedCredential]:
        """The credentials of an application or identity, by name."""
        return [_read(record.value) for record in self._bucket.list(COLLECTION, f"{app_id.lower()}/")]

    def delete(self, app_id: str, name: str) -> bool:
        """Removes a credential; whether it was there."""
        if self.get(app_id, name) is None:
            return False
        self._bucket.delete(COLLECTION, self._key(app_id, name))
        return True

    def drop(self, app_id: str) -> None:
        """Removes all credentials of an application or identity."""
        for credential in self.of(app_id):
            self.delete(app_id, credential.name)

    def trust(self, issuer: str, keys: Keys | None) -> None:
        """Says how the keys of an issuer are got; None forgets the issuer."""
        if keys is None:
            self._issuers.pop(issuer, None)
        else:
            self._issuers[issuer] = keys

    def ask(self, find: Callable[[str], dict[str, Any] | None]) -> None:
        """Has `find` say the key set of an issuer that nobody was entered for; None where it knows none."""
        self._finders.append(find)

    def check(self, app_id: str, assertion: str) -> dict[str, Any]:
        """The claims of an assertion that may stand in for the secret of `app_id`. Raises AssertionRefused."""
        import jwt

        try:
            head = jwt.get_unverified_header(assertion)
            claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise AssertionRefused(50027, "JWT token is invalid or malformed.") from None
        issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
        audience = claims.get("aud", "")
        audiences = audience if isinstance(audience, list) else [audience]
        self._match(app_id, issuer, subject, audiences)
        keys = self._keys(issuer)
        if keys is None:
            raise AssertionRefused(50166, "Request to External OIDC endpoint failed.")
        key = self._signing_key(keys, head.get("kid"))
        now = self._clock.now().timestamp()
        if key is None:
            raise AssertionRefused(
                700027,
                f"The certificate with identifier used to sign the client assertion is not registered on application. "
                f"[Reason - The key was not found., Key id: '{head.get('kid')}', Issuer: '{issuer}']",
            )
        try:
            jwt.decode(
                assertion,
                key,
                algorithms=["RS256", "ES256"],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            raise AssertionRefused(700027, "Client assertion failed signature validation.") from None
        if not float(claims.get("nbf", claims.get("iat", 0))) - 300 <= now < float(claims.get("exp", 0)):
            raise AssertionRefused(
                700024,
                "Client assertion is not within its valid time range. "
                f"Current time: {self._clock.now():%Y-%m-%dT%H:%M:%S.%fZ}, "
                f"expiry time of assertion {_utc(float(claims.get('exp', 0)))}.",
            )
        return claims

    # --- inside

    def _match(self, app_id: str, issuer: str, subject: str, audiences: list[str]) -> None:
        known, pending = self._known(app_id)
        advice = (
            "Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
        )
        link = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
        if any((c.issuer, c.subject) == (issuer, subject) for c in pending):
            text = "No matching federated identity record found for presented assertion."
            said = f"Assertion Issuer: '{issuer}'. Assertion Subject: '{subject}'. Assertion Audience: '{', '.join(audiences)}'."
            raise AssertionRefused(70021, f"{text} {said} {link}")
        if not known and not pending:
            raise AssertionRefused(
                70025,
                f"The client '{app_id}' has no configured federated identity credentials.",
            )
        by_issuer = [c for c in known if c.issuer == issuer]
        if not by_issuer:
            raise AssertionRefused(
                700211,
                f"No matching federated identity record found for presented assertion issuer '{issuer}'. {advice} {link}",
            )
        by_subject = [c for c in by_issuer if c.subject == subject]
        if not by_subject:
            raise AssertionRefused(
                700213,
                f"No matching federated identity record found for presented assertion subject '{subject}'. {advice} {link}",
            )
        if not any(set(c.audiences) & set(audiences) for c in by_subject):
            raise AssertionRefused(
                700212,
                "No matching federated identity record found for presented assertion audience "
                f"'{', '.join(audiences)}'. {advice} {link}",
            )

    def _known(self, app_id: str) -> tuple[list[FederatedCredential], list[FederatedCredential]]:
        """The credentials that sign-in has heard of, and those that it has not yet."""
        now = self._clock.now().timestamp()
        found = self.of(app_id)
        return [c for c in found if c.known_from <= now], [c for c in found if c.known_from > now]

    def _keys(self, issuer: str) -> dict[str, Any] | None:
        entered = self._issuers.get(issuer)
        if entered is not None:
            return entered()
        return next((keys for find in self._finders if (keys := find(issuer)) is not None), None)

    @staticmethod
    def _signing_key(keys: dict[str, Any], kid: str | None) -> Any:
        import jwt

        for key in keys["keys"]:
            if kid is None or key.get("kid") == kid:
                return jwt.PyJWK(key, algorithm=key.get("alg", "RS256")).key
        return None

    @staticmethod
    def _key(app_id: str, name: str) -> str:
        return f"{app_id.lower()}/{name.lower()}"


def _read(value: bytes) -> FederatedCredential:
    found = json.loads(value)
    return FederatedCredential(**found | {"audiences": tuple(found["audiences"])})


def _utc(seconds: float) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
