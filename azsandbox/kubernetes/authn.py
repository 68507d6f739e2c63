"""Who asks: bearer tokens, client certificates, impersonation."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import ANONYMOUS, Request, User

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

TokenAuthenticator = Callable[[str], User | None]  # None: not a token of this kind

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"


class StaticTokens:
    """Tokens known beforehand, such as the administrator's. Only their hashes are kept."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}

    def add(self, token: str, user: User) -> None:
        self._users[hashlib.sha256(token.encode()).hexdigest()] = user

    def clear(self) -> None:
        """Revokes all."""
        self._users.clear()

    def __call__(self, token: str) -> User | None:
        digest = hashlib.sha256(token.encode()).hexdigest()
        for known, user in self._users.items():
            if hmac.compare_digest(known, digest):
                return user
        return None


class Authentication:
    """Finds the user of a request: by client certificate, then by token, else anonymous. Raises 401."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.tokens: list[TokenAuthenticator] = []
        self.static = StaticTokens()
        self.tokens.append(self.static)

    def authenticate(self, request: Request) -> User:
        certificate: User | None = request.certificate
        if certificate is not None:
            return with_group(certificate, AUTHENTICATED)
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            user = self.user_of(token.strip())
            if user is None:
                raise errors.unauthorized()
            return user
        return ANONYMOUS

    def user_of(self, token: str) -> User | None:
        """The user of a bearer token, or None."""
        for authenticator in self.tokens:
            user = authenticator(token)
            if user is not None:
                return with_group(user, AUTHENTICATED)
        return None


def with_group(user: User, group: str) -> User:
    if group in user.groups:
        return user
    return User(user.name, (*user.groups, group), user.uid, user.extra)


def impersonated(request: Request, allow: Callable[[str, str, str, str], None]) -> User | None:
    """The user that the Impersonate-* headers name, or None without such headers.

    `allow(resource, namespace, name, group)` raises 403 unless the caller may impersonate that.
    """
    headers = request.headers
    name = headers.get("impersonate-user", "")
    groups = headers["impersonate-group"].split("\n") if "impersonate-group" in headers else []
    uid = headers.get("impersonate-uid", "")
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        if header.startswith("impersonate-extra-"):
            from urllib.parse import unquote

            extra[unquote(header.removeprefix("impersonate-extra-"))] = tuple(value.split("\n"))
    if not name:
        if groups or uid or extra:
            # Go prints the references that it made: kind, namespace, name, uid, version, resourceVersion, fieldPath
            refs = [f"{{Group  {group}    }}" for group in groups]
            refs += [
                f"{{UserExtra  {value}  authentication.k8s.io/v1  {key}}}" for key in extra for value in extra[key]
            ]
            refs += [f"{{UID  {uid}  authentication.k8s.io/v1  }}"] if uid else []
            raise errors.bad_request(f"requested [{' '.join(refs)}] without impersonating a user")
        return None
    if name.startswith("system:serviceaccount:"):
        _, _, namespace, account = ([*name.split(":"), "", ""])[:4]
        allow("serviceaccounts", namespace, account, "")
        if not groups:
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    else:
        allow("users", "", name, "")
    for group in groups:
        allow("groups", "", group, "")
    for key, values in extra.items():
        for value in values:
            allow(f"userextras/{key}", "", value, "authentication.k8s.io")
    if uid:
        allow("uids", "", uid, "authentication.k8s.io")
    anonymous = name == ANONYMOUS.name
    group = UNAUTHENTICATED if anonymous else AUTHENTICATED
    return with_group(User(name, tuple(groups), uid, extra), group)
