"""Who one is to a registry: what pull secrets hold, and which of it is for a repository (k8schain)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import secrets
from azsandbox.flux.globs import glob_matches
from azsandbox.flux.secrets import SecretError
from azsandbox.kubernetes.errors import StatusError

_KINDS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


@dataclass(frozen=True)
class Credentials:
    """A user name and password, or a token: one for the registry itself, or one to be exchanged for such."""

    username: str = ""
    password: str = ""
    registry_token: str = ""
    identity_token: str = ""

    @property
    def basic(self) -> str:
        """The Authorization header of a user name and password, empty without both."""
        if not (self.username and self.password):
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


ANONYMOUS = Credentials()


class Keyring:
    """Credentials by the registries and repositories that they are for."""

    def __init__(self, pull_secrets: Iterable[Object] = ()) -> None:
        """Takes the credentials of pull secrets; a Secret of another type has none. Raises SecretError."""
        self._entries: dict[str, Credentials] = {}
        for secret in pull_secrets:
            kind = str(secret.get("type"))
            held = secrets.values(secret).get(_KINDS.get(kind, ""))
            if held:
                self._add(_entries(held, kind))

    def _add(self, entries: dict[str, Object]) -> None:
        for place, entry in entries.items():
            parts = urlsplit(place if place.startswith(("https://", "http://")) else f"https://{place}")
            inner = parts.path[3:] if parts.path.startswith(("/v2/", "/v1/")) else parts.path
            key = parts.netloc + (inner if inner != "/" else "")
            self._entries.setdefault(key, _credentials(entry))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def find(self, repository: str) -> Credentials:
        """The credentials for a repository (registry.example/team/app); the longest name that fits wins."""
        for key in sorted(self._entries, reverse=True):
            if _matches(urlsplit(f"https://{key}"), urlsplit(f"https://{repository}")):
                return self._entries[key]
        return ANONYMOUS


def _matches(glob: SplitResult, target: SplitResult) -> bool:
    ours, our_port = _split(glob.netloc)
    theirs, their_port = _split(target.netloc)
    return (
        our_port == their_port
        and len(ours) == len(theirs)
        and target.path.startswith(glob.path)
        and all(glob_matches(one, other) for one, other in zip(ours, theirs, strict=True))
    )


def _split(netloc: str) -> tuple[list[str], str]:
    host, _, port = netloc.partition(":")
    return host.split("."), port


def _entries(held: bytes, kind: str) -> dict[str, Object]:
    try:
        found = json.loads(held)
    except ValueError as error:
        raise SecretError(f"invalid character in pull secret: {error}") from None
    if kind == "kubernetes.io/dockerconfigjson" and isinstance(found, dict):
        found = found.get("auths")
    return found if isinstance(found, dict) else {}


def _credentials(entry: Object) -> Credentials:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise SecretError("unable to decode auth field") from None
    return Credentials(username, password, entry.get("registrytoken", ""), entry.get("identitytoken", ""))


async def pull_secrets_of(client: KubeClient, namespace: str, account: str) -> list[Object]:
    """The pull secrets that a ServiceAccount names. Raises SecretError."""
    owner = f"serviceaccount '{namespace}/{account}'"
    try:
        found = await client.get(path("v1", "serviceaccounts", namespace, account))
    except StatusError as error:
        text = f"{owner} not found" if error.code == 404 else f"failed to get {owner}: {error}"
        raise SecretError(text) from None
    held = []
    for reference in found.get("imagePullSecrets") or []:
        try:
            held.append(await secrets.read(client, namespace, reference["name"]))
        except SecretError as error:
            raise SecretError(f"failed to get image pull secret for {owner}: {error}") from None
    return held
