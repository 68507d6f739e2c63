"""How a Helm repository is reached: its URL, and what Secrets give for it (source-controller, helm/getter)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import secrets
from azsandbox.flux.durations import seconds
from azsandbox.flux.oci_credentials import ANONYMOUS, Credentials, Keyring
from azsandbox.flux.secrets import Certificates, NoCertificates, SecretError
from azsandbox.kubernetes.errors import StatusError

DEFAULT_TIMEOUT = "60s"


class AccessProblem(Exception):
    """A Secret that is not there or does not fit; in Flux's words."""


@dataclass(frozen=True)
class HelmAccess:
    """What is needed to speak to a repository at `url`, which ends in a slash unless it is a registry's."""

    url: str
    username: str = ""
    password: str = ""
    certificates: Certificates | None = None
    everywhere: bool = False  # credentials go to other hosts too (passCredentials)
    timeout: float = 60.0  # seconds
    insecure: bool = False

    @property
    def is_registry(self) -> bool:
        return self.url.startswith("oci://")

    @property
    def credentials(self) -> Credentials:
        """Who one is, of a registry."""
        return Credentials(self.username, self.password) if self.username else ANONYMOUS

    def headers(self, url: str) -> dict[str, str]:
        """Headers of a request to `url`; credentials go to the repository's own host alone, unless told otherwise."""
        ours, theirs = urlsplit(self.url), urlsplit(url)
        own = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
        basic = Credentials(self.username, self.password).basic
        return {"User-Agent": "Helm/4", **({"Authorization": basic} if basic and (own or self.everywhere) else {})}


def normalized(url: str) -> str:
    """A repository's URL with one slash at its end, or none if it is a registry's."""
    parts = urlsplit(url)
    end = "" if parts.scheme == "oci" else "/"
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end))


async def helm_access(client: KubeClient, repository: Object) -> HelmAccess:
    """Access to a HelmRepository. Raises AccessProblem."""
    spec, namespace = repository["spec"], repository["metadata"].get("namespace", "")
    url = normalized(spec["url"])
    certificates: Certificates | None = None
    username = password = ""
    if spec.get("certSecretRef"):
        secret = await _secret(client, namespace, spec["certSecretRef"]["name"], "TLS authentication secret")
        try:
            certificates = secrets.certificates(secret)
        except SecretError as error:
            raise AccessProblem(f"failed to construct Helm client's TLS config: {error}") from error
    if spec.get("secretRef"):
        secret = await _secret(client, namespace, spec["secretRef"]["name"], "authentication secret")
        try:
            username, password = secrets.basic(secret) or ("", "")
        except SecretError as error:
            raise AccessProblem(f"failed to detect authentication methods: {error}") from error
        if certificates is None:
            try:
                certificates = secrets.certificates(secret)
            except NoCertificates:
                certificates = None
        if spec.get("type") == "oci":
            username, password = _for_registry(secret, urlsplit(url).netloc)
    return HelmAccess(
        url,
        username,
        password,
        certificates,
        bool(spec.get("passCredentials")),
        seconds(spec.get("timeout") or DEFAULT_TIMEOUT),
        bool(spec.get("insecure")),
    )


async def _secret(client: KubeClient, namespace: str, name: str, what: str) -> Object:
    try:
        return await client.get(path("v1", "secrets", namespace, name))
    except StatusError as error:
        raise AccessProblem(f"failed to get {what} '{namespace}/{name}': {error}") from error


def _for_registry(secret: Object, host: str) -> tuple[str, str]:
    """The credentials that a Secret holds for a registry, as pull secret or as user name and password."""
    start, name = "failed to configure OCI registry authentication", secret["metadata"]["name"]
    username, password = secrets.text(secret, "username") or "", secrets.text(secret, "password") or ""
    if secret.get("type") == "kubernetes.io/dockerconfigjson":
        try:
            found = Keyring([secret]).find(host)
        except SecretError as error:
            raise AccessProblem(f"{start}: unable to load Docker config from Secret '{name}': {error}") from error
        if found == ANONYMOUS:
            raise AccessProblem(f"{start}: no auth config for '{host}' in the docker-registry Secret '{name}'")
        username, password = found.username, found.password
    if bool(username) != bool(password):
        text = f"invalid '{name}' secret data: required fields 'username' and 'password'"
        raise AccessProblem(f"{start}: {text}")
    return username, password
