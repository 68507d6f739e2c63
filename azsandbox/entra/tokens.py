"""Signed tokens with Entra's claims, and their verification."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from azsandbox.clock import Clock
from azsandbox.entra import facts
from azsandbox.entra.directory import Directory, Principal
from azsandbox.store import Bucket

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEYS = "keys"  # the collection that a reset keeps
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"  # the public client that people's tokens are issued through
_CACHED = 1024

Reason = Literal["malformed", "signature", "expired", "audience", "issuer", "principal"]


class TokenError(Exception):
    """A token is refused. `code` and `message` are as Resource Manager writes them, `reason` says which check failed."""

    def __init__(self, reason: Reason, code: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.code, self.message = reason, code, message


@dataclass(frozen=True)
class Identity:
    """Who a token speaks for. `groups` are the groups that the directory says now, through others too."""

    object_id: str
    name: str
    kind: Literal["user", "servicePrincipal"]
    groups: tuple[str, ...]
    tenant_id: str
    app_id: str
    audience: str
    claims: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)


class Tokens:
    """Issues and verifies the tokens of one tenant."""

    def __init__(self, bucket: Bucket, clock: Clock, directory: Directory) -> None:
        self._bucket, self._clock, self._directory = bucket, clock, directory
        self.tenant_id = directory.tenant_id
        self._verified: dict[str, dict[str, Any]] = {}  # tokens whose signature was checked

    # --- keys

    @cached_property
    def _key(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )

        record = self._bucket.get(KEYS, "signing")
        if record is None:
            key = rsa.generate_private_key(65537, 2048)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self._bucket.put(KEYS, "signing", pem)
            return key
        loaded = load_pem_private_key(record.value, None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise TypeError(f"the signing key in the state is {type(loaded).__name__}, not an RSA key")
        return loaded

    @cached_property
    def _public(self) -> tuple[str, str, str]:
        """Key id, modulus and exponent, as a key set writes them."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key.public_key()
        numbers = public.public_numbers()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        kid = _b64(hashlib.sha1(der, usedforsecurity=False).digest())
        return kid, _b64(numbers.n.to_bytes(256, "big")), _b64(numbers.e.to_bytes(3, "big"))

    def key_set(self) -> dict[str, Any]:
        """The JSON web key set that verifies the tokens."""
        kid, modulus, exponent = self._public
        issuer = f"https://login.microsoftonline.com/{self.tenant_id}/v2.0"
        key = {"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "n": modulus, "e": exponent, "issuer": issuer}
        return {"keys": [key]}

    def secret(self, name: str) -> bytes:
        """A secret of this installation, made when first asked for and kept over resets."""
        record = self._bucket.get(KEYS, name)
        return (record or self._bucket.put(KEYS, name, secrets.token_bytes(32))).value

    # --- issuing

    def issue(
        self, principal_id: str, resource: str, *, lifetime: int = 3600, client_id: str | None = None, proof: str = "1"
    ) -> str:
        """An access token of a principal for `resource`, valid for `lifetime` seconds.

        `client_id` is the application that a person signs in through; `proof` how an application proved itself
        (appidacr: 1 secret, 2 certificate or federated token). Raises KeyError for an unknown principal.
        """
        principal = self._directory.get(principal_id)
        if principal is None:
            raise KeyError(f"the directory has no object {principal_id!r}")
        now = int(self._clock.now().timestamp())
        claims = {"iat": now, "nbf": now, "exp": now + lifetime, "aio": secrets.token_urlsafe(24)}
        if self._wants_version_2(resource):
            claims |= self._claims_2(principal, resource, client_id, proof)
        else:
            claims |= self._claims_1(principal, resource, client_id, proof)
        claims |= {"tid": self.tenant_id, "oid": principal.object_id, "uti": secrets.token_urlsafe(16)}
        return self.sign(claims)

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWT of `claims`, signed as Entra signs."""
        import jwt

        kid = self._public[0]
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"x5t": kid, "kid": kid})

    def id_token(self, user: Principal, client_id: str, nonce: str | None = None) -> str:
        """The id token of a person who signed in through `client_id`."""
        now = int(self._clock.now().timestamp())
        claims = {
            "aud": client_id,
            "iss": f"https://login.microsoftonline.com/{self.tenant_id}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "name": user.display_name,
            "oid": user.object_id,
            "preferred_username": user.name,
            "sub": self._pairwise(user.object_id, client_id),
            "tid": self.tenant_id,
            "ver": "2.0",
        }
        return self.sign(claims | ({"nonce": nonce} if nonce else {}))

    def _claims_1(self, principal: Principal, resource: str, client_id: str | None, proof: str) -> dict[str, Any]:
        issuer = f"https://sts.windows.net/{self.tenant_id}/"
        claims: dict[str, Any] = {"aud": resource, "iss": issuer, "ver": "1.0"}
        groups = self._directory.groups_of(principal.object_id)
        if principal.kind == "user":
            roles = facts.resources()["directory_roles"]
            claims |= {
                "acr": "1",
                "amr": ["pwd"],
                "appid": client_id or AZURE_CLI,
                "appidacr": "0",
                "family_name": principal.display_name.partition(" ")[2],
                "given_name": principal.display_name.partition(" ")[0],
                "groups": list(groups),
                "idtyp": "user",
                "ipaddr": "127.0.0.1",
                "name": principal.display_name,
                "scp": "user_impersonation",
                "sub": self._pairwise(principal.object_id, resource),
                "unique_name": principal.name,
                "upn": principal.name,
                "wids": [roles[r] for r in [*self._directory.roles(principal.object_id), "User"]],
            }
            return claims
        claims |= {
            "appid": principal.app_id,
            "appidacr": "2" if principal.service_principal_type == "ManagedIdentity" else proof,
            "idp": issuer,
            "idtyp": "app",
            "sub": principal.object_id,
        }
        if groups:
            claims["groups"] = list(groups)
        resource_id = next((n for n in principal.alternative_names if n.lower().startswith("/subscriptions/")), None)
        return claims | ({"xms_mirid": resource_id} if resource_id else {})

    def _claims_2(self, principal: Principal, resource: str, client_id: str | None, proof: str) -> dict[str, Any]:
        api = self._application(resource)
        audience = api["properties"]["appId"] if api else resource
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"https://login.microsoftonline.com/{self.tenant_id}/v2.0",
            "ver": "2.0",
        }
        if principal.kind == "user":
            return claims | {
                "azp": client_id or AZURE_CLI,
                "azpacr": "0",
                "name": principal.display_name,
                "preferred_username": principal.name,
                "scp": "user_impersonation",
                "sub": self._pairwise(principal.object_id, audience),
            }
        return claims | {"azp": principal.app_id, "azpacr": proof, "idtyp": "app", "sub": principal.object_id}

    def _wants_version_2(self, resource: str) -> bool:
        """Entra's access tokens have the version that the resource asks for, whichever endpoint issues them
        (application manifest, requestedAccessTokenVersion); Azure's own services take version 1."""
        found = self._application(resource)
        return bool(found and (found["properties"].get("api") or {}).get("requestedAccessTokenVersion") == 2)

    def _application(self, resource: str) -> dict[str, Any] | None:
        for stored in self._directory.each("application"):
            properties = stored["properties"]
            if resource in (properties["appId"], f"api://{properties['appId']}", *properties["identifierUris"]):
                return stored
        return None

    def _pairwise(self, object_id: str, audience: str) -> str:
        return _b64(hashlib.sha256(f"{self.tenant_id}{object_id}{audience}".encode()).digest())

    # --- verifying

    def verify(self, token: str, audiences: tuple[str, ...] | None) -> Identity:
        """Whom `token` speaks for. `audiences` are those accepted (a final slash does not matter); None takes any.

        Raises TokenError.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decode(token)
            if len(self._verified) >= _CACHED:
                self._verified.clear()
            self._verified[token] = claims
        now = self._clock.now().timestamp()
        if float(claims.get("exp", 0)) <= now:
            raise TokenError(
                "expired",
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{_us_time(float(claims.get('exp', 0)))}' is earlier than current "
                f"UTC time '{_us_time(now)}'.",
            )
        audience = str(claims.get("aud", ""))
        if audiences is not None and _plain(audience) not in {_plain(a) for a in audiences}:
            raise TokenError(
                "audience",
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{audience}'. It should exactly "
                f"match with one of the allowed audiences '{','.join(audiences)}'.",
            )
        principal = self._directory.get(str(claims.get("oid", "")))
        if principal is None or principal.kind not in ("user", "servicePrincipal"):
            raise TokenError(
                "principal",
                "InvalidAuthenticationToken",
                f"The access token's principal '{claims.get('oid')}' does not exist in tenant '{self.tenant_id}'.",
            )
        return Identity(
            principal.object_id,
            principal.name if principal.kind == "user" else principal.app_id or principal.display_name,
            "user" if principal.kind == "user" else "servicePrincipal",
            self._directory.groups_of(principal.object_id),
            self.tenant_id,
            str(claims.get("appid") or claims.get("azp") or ""),
            audience,
            claims,
        )

    def _decode(self, token: str) -> dict[str, Any]:
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            raise TokenError("signature", "InvalidAuthenticationToken", "The access token is invalid.") from None
        except jwt.InvalidTokenError:
            raise TokenError("malformed", "InvalidAuthenticationToken", "The access token is invalid.") from None
        issuers = (
            f"https://sts.windows.net/{self.tenant_id}/",
            f"https://login.microsoftonline.com/{self.tenant_id}/v2.0",
        )
        if claims.get("iss") not in issuers:
            raise TokenError(
                "issuer",
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer '{claims.get('iss')}'. It must match the tenant "
                f"'{issuers[0]}' associated with this subscription. Please use the authority (URL) "
                f"'https://login.windows.net/{self.tenant_id}' to get the token.",
            )
        return claims

    def new_id(self) -> str:
        """A trace or request id."""
        return str(uuid.uuid4())


def read_claims(token: str) -> dict[str, Any]:
    """The claims of a token, unverified."""
    part = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found if isinstance(found, dict) else {}


def _plain(audience: str) -> str:
    return audience.rstrip("/").lower()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _us_time(seconds: float) -> str:
    import datetime as dt

    time = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{time.month}/{time.day}/{time.year} {time:%I:%M:%S %p}"
