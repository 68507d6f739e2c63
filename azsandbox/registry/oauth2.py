"""/oauth2/exchange and /oauth2/token: from a token of Entra to a refresh token, and from that to access tokens.

Protocol: Azure/acr, docs/AAD-OAuth.md; GET /oauth2/token: the distribution project's "Token Authentication
Specification"; POST: its "Oauth2 Token Authentication".
"""

from __future__ import annotations

from azsandbox.entra import TokenError
from azsandbox.registry import errors
from azsandbox.registry.access import Caller, Permissions
from azsandbox.registry.authentication import basic, caller_of
from azsandbox.registry.names import Grant, read_scopes
from azsandbox.registry.place import Place
from azsandbox.registry.tokens import Access, Refused
from azsandbox.registry.web import Answer, Request

AUDIENCE = ("https://containerregistry.azure.net",)
ARM_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")


def refused(correlation: str) -> errors.RegistryError:
    """401 of both endpoints."""
    return errors.RegistryError(401, "UNAUTHORIZED", f"{errors.AUTHENTICATE} CorrelationId: {correlation}")


async def exchange(request: Request, place: Place, permissions: Permissions, correlation: str) -> Answer:
    """POST /oauth2/exchange: a refresh token for whom a token of Entra speaks for. Raises RegistryError.

    Somebody who may do nothing in the registry gets none: that is what a kubelet without AcrPull runs into.
    """
    form = dict(await request.form())
    kind = form.get("grant_type", "")
    if kind == "refresh_token":
        raise errors.not_supported("grant_type=refresh_token of /oauth2/exchange; send an access token of Entra")
    if kind not in ("access_token", "access_token_refresh_token") or not form.get("access_token"):
        raise errors.RegistryError(
            400, "UNSUPPORTED", f"grant_type {kind!r} is not access_token, or access_token is empty"
        )
    audiences: tuple[str, ...] = AUDIENCE
    if place.registry is None or _takes_arm_tokens(place):
        audiences += ARM_AUDIENCES
    entra = place.registries.host.entra
    tenant = form.get("tenant") or entra.tenant_id
    try:
        identity = entra.verify(form["access_token"], audiences)
    except TokenError:
        raise refused(correlation) from None
    if tenant.lower() not in (entra.tenant_id, entra.directory.domain, "common", "organizations"):
        raise refused(correlation)
    caller = Caller(identity.name, identity.object_id, identity.groups)
    shown = permissions.shown(caller, place.registry) if place.registry else []
    if place.registry is not None and not shown:
        raise refused(correlation)
    token = place.registries.tokens.refresh(place.service, caller.object_id, caller.name, entra.tenant_id, shown)
    return Answer(200, {"refresh_token": token})


def _takes_arm_tokens(place: Place) -> bool:
    assert place.registry is not None
    policy = (place.registry.properties.get("policies") or {}).get("azureADAuthenticationAsArmPolicy") or {}
    return policy.get("status", "enabled") == "enabled"


async def token(request: Request, place: Place, permissions: Permissions, correlation: str) -> Answer:
    """GET and POST /oauth2/token: an access token with what of the scopes the caller may do. Raises RegistryError."""
    if request.method == "GET":
        scopes, who = request.scopes, _of_header(request, place, permissions)
        if who is None:
            raise refused(correlation)
    else:
        pairs = await request.form()
        form = dict(pairs)
        scopes = [value for name, value in pairs if name == "scope"]
        who = _of_form(form, request, place, permissions)
        if who is None:
            raise refused(correlation)
    asked = read_scopes(scopes)
    granted = [g for grant in asked if (g := _granted(grant, place, permissions, who)) is not None]
    if not granted and (asked or (isinstance(who, Caller) and who.anonymous and not _is_public(place))):
        raise refused(correlation)
    subject = who.subject if isinstance(who, Access) else who.name
    return Answer(200, {"access_token": place.registries.tokens.access(place.service, subject, granted)})


def _of_header(request: Request, place: Place, permissions: Permissions) -> Caller | Access | None:
    header = request.headers.get("authorization", "")
    if not header:
        return Caller()
    pair = basic(header)
    return caller_of(place, permissions, *pair) if pair else None


def _of_form(form: dict[str, str], request: Request, place: Place, permissions: Permissions) -> Caller | Access | None:
    kind = form.get("grant_type", "")
    if kind == "refresh_token":
        try:
            return permissions.principal(
                place.registries.tokens.read_refresh(form.get("refresh_token", ""), place.service)
            )
        except Refused:
            return None
    if kind == "password":
        if not form.get("username"):
            return _of_header(request, place, permissions)
        return caller_of(place, permissions, form["username"], form.get("password", ""))
    raise errors.RegistryError(400, "UNSUPPORTED", f"grant_type {kind!r} is neither refresh_token nor password")


def _granted(grant: Grant, place: Place, permissions: Permissions, who: Caller | Access) -> Grant | None:
    """What of a scope the caller may have, under the name that the client used."""
    if isinstance(who, Access):  # a token cannot be widened
        held = {a for g in who.grants if (g.type, g.name) == (grant.type, grant.name) for a in g.actions}
        actions = tuple(a for a in grant.actions if a in held or "*" in held)
        return Grant(grant.type, grant.name, actions) if actions else None
    found = place.local(grant)
    allowed = permissions.allowed(who, *found) if found else None
    return Grant(grant.type, grant.name, allowed.actions) if allowed else None


def _is_public(place: Place) -> bool:
    return place.registry is not None and bool(place.registry.properties.get("anonymousPullEnabled"))
