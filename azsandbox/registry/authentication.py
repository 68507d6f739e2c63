"""Who a request to the data plane speaks for, and whether that is enough: bearer tokens, names with passwords, nobody."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from azsandbox.registry import errors
from azsandbox.registry.access import Caller, Permissions
from azsandbox.registry.names import Grant
from azsandbox.registry.place import Place
from azsandbox.registry.tokens import Access, Refused
from azsandbox.registry.web import Request

NOBODY = "00000000-0000-0000-0000-000000000000"  # the user name that says that the password is a token

Decide = Callable[[Grant], bool]


def basic(header: str) -> tuple[str, str] | None:
    """Name and password of a Basic header; None if it is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def challenge(place: Place, base_url: str, grant: Grant | None, error: str = "") -> errors.RegistryError:
    """401 that says where to get a token, and for what."""
    parts = [f'realm="{base_url}/oauth2/token"', f'service="{place.service}"']
    if grant is not None:
        parts.append(f'scope="{grant}"')
    if error:
        parts.append(f'error="{error}"')
    detail = grant.detail if grant is not None else None
    return errors.unauthorized(detail, {"Www-Authenticate": "Bearer " + ",".join(parts)})


def caller_of(place: Place, permissions: Permissions, user: str, password: str) -> Caller | Access | None:
    """Who signs in with a name and a password, which may be a token of the registry's own."""
    if user == NOBODY:
        tokens = place.registries.tokens
        try:
            return permissions.principal(tokens.read_refresh(password, place.service))
        except Refused:
            pass
        try:
            return tokens.read_access(password, place.service)
        except Refused:
            return None
    registry = place.registry or place.registries.get(user)
    return permissions.by_password(registry, user, password)


def decide(place: Place, permissions: Permissions, who: Caller | Access) -> Decide:
    """What `who` may do, as a question that one asks of each grant."""

    def by_token(grant: Grant) -> bool:
        assert isinstance(who, Access)
        held = {a for g in who.grants if (g.type, g.name) == (grant.type, grant.name) for a in g.actions}
        return any(action in held for action in grant.actions) or "*" in held

    def by_rights(grant: Grant) -> bool:
        assert isinstance(who, Caller)
        found = place.local(grant)
        return found is not None and permissions.allowed(who, *found) is not None

    return by_token if isinstance(who, Access) else by_rights


def authorize(
    request: Request, place: Place, permissions: Permissions, asked: Grant | None, enough: Grant | None
) -> Decide:
    """Checks that the request may do one of `enough`'s actions; `asked` is what a client is told to get a token for.

    Returns what else it may do. Raises RegistryError.
    """
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    who: Caller | Access | None
    if scheme.lower() == "bearer":
        try:
            who = place.registries.tokens.read_access(value.strip(), place.service)
        except Refused:
            raise challenge(place, request.base_url, asked, "invalid_token") from None
    elif header:
        pair = basic(header)
        who = caller_of(place, permissions, *pair) if pair else None
        if who is None:
            raise challenge(place, request.base_url, asked)
    else:
        raise challenge(place, request.base_url, asked)
    allows = decide(place, permissions, who)
    if enough is not None and not allows(enough):
        raise challenge(place, request.base_url, asked, "insufficient_scope")
    return allows
