"""Receivers that take an identity token instead of a secret word: generic-oidc, and gcr with Google's tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import jwt

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.network import failure, http_client
from azsandbox.flux.notification.filters import TokenRefused, TokenRules
from azsandbox.flux.notification.web_hooks import Refused
from azsandbox.flux.runtime import Outbound

AUDIENCE = "notification-controller"  # of tokens, where a provider names none
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"]
_BEARER = "Bearer "
_GOOGLE = ("accounts.google.com", "https://accounts.google.com")
_GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"
_TIMEOUT = 10.0  # seconds


async def oidc_claims(receiver: Object, authorization: str, outbound: Outbound) -> dict[str, Any]:
    """The claims of the token that a request to a generic-oidc Receiver carries. Raises Refused."""
    if not authorization.startswith(_BEARER):
        raise Refused("the Authorization header is missing or malformed")
    token = authorization.removeprefix(_BEARER).strip()
    if not token:
        raise Refused("the Authorization header is missing a bearer token")
    issuer = _issuer(token)
    providers: Objects = receiver["spec"].get("oidcProviders") or []
    provider = next((p for p in providers if p["issuerURL"] == issuer), None)
    if provider is None:
        raise Refused(f"no oidcProvider configured for issuer {json.dumps(issuer)}")
    keys = await _keys_of(issuer, outbound)
    try:
        claims = _verified(token, keys, issuer, provider.get("audience") or AUDIENCE)
    except jwt.PyJWTError as error:
        raise Refused(f"failed to verify OIDC token: oidc: {error}") from None
    try:
        TokenRules(provider).check(claims)
    except TokenRefused as error:
        raise Refused(str(error)) from None
    return claims


async def check_google(authorization: str, email: str, audience: str, outbound: Outbound) -> None:
    """Checks the token of a push of Google's Pub/Sub. Raises Refused."""
    if not authorization.startswith(_BEARER):
        raise Refused("cannot authenticate GCR request: the Authorization header is missing or malformed")
    token = authorization.removeprefix(_BEARER)
    keys = await _document(_GOOGLE_KEYS, outbound)
    try:
        claims = _verified(token, keys, "", audience)
    except jwt.PyJWTError as error:
        raise Refused(f"cannot authenticate GCR request: invalid ID token: idtoken: {error}") from None
    if claims.get("iss") not in _GOOGLE:
        wanted = "'accounts.google.com' or 'https://accounts.google.com'"
        raise Refused(f"cannot authenticate GCR request: token issuer is '{claims.get('iss', '')}', want {wanted}")
    if claims.get("email") != email:
        raise Refused(f"cannot authenticate GCR request: token email is '{claims.get('email', '')}', want '{email}'")
    if claims.get("email_verified") is not True:
        raise Refused(f"cannot authenticate GCR request: token email '{email}' is not verified")


def _issuer(token: str) -> str:
    parts = token.split(".")
    if len(parts) != 3:
        raise Refused("failed to parse bearer token: token is not a JWT")
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        issuer = payload.get("iss")
    except (ValueError, AttributeError) as error:
        raise Refused(f"failed to parse bearer token: failed to parse token payload: {error}") from None
    if not issuer:
        raise Refused("failed to parse bearer token: token is missing the 'iss' claim")
    return str(issuer)


async def _keys_of(issuer: str, outbound: Outbound) -> Any:
    """The key set of an issuer, by its discovery document. Raises Refused."""
    failed = f"failed to initialize OIDC provider for issuer {json.dumps(issuer)}"
    try:
        found = await _document(f"{issuer.rstrip('/')}/.well-known/openid-configuration", outbound)
    except Refused as error:
        raise Refused(f"{failed}: {error}") from None
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        got = found.get("issuer", "") if isinstance(found, dict) else ""
        text = "oidc: issuer URL provided to client did not match the issuer URL returned by provider"
        raise Refused(f"{failed}: {text}, expected {json.dumps(issuer)} got {json.dumps(got)}")
    return await _document(str(found.get("jwks_uri", "")), outbound)


async def _document(url: str, outbound: Outbound) -> Any:
    async with http_client(outbound, timeout=_TIMEOUT) as client:
        try:
            response = await client.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(await failure("GET", url, error)) from None
    if response.status_code != 200:
        raise Refused(f"{response.status_code} {response.reason_phrase}: {response.text}")
    try:
        return response.json()
    except ValueError as error:
        raise Refused(f"{url} answers with no JSON: {error}") from None


def _verified(token: str, keys: Any, issuer: str, audience: str) -> dict[str, Any]:
    """The claims of a token that one of a set of keys signed. Raises PyJWTError."""
    identity = jwt.get_unverified_header(token).get("kid")
    known = [k for k in jwt.PyJWKSet.from_dict(keys).keys if identity is None or k.key_id == identity]
    wrong: jwt.PyJWTError = jwt.InvalidKeyError("no key of the issuer has signed the token")
    for key in known:
        try:
            options: Any = {"require": ["exp", "aud"]}
            return jwt.decode(
                token, key, algorithms=_ALGORITHMS, audience=audience, issuer=issuer or None, options=options
            )
        except jwt.InvalidSignatureError as error:
            wrong = error
    raise wrong
