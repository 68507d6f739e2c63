"""What Flux's objects take from Secrets: credentials, certificates, proxies (fluxcd/pkg/runtime/secrets)."""

from __future__ import annotations

import base64
import ssl
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.kubernetes.errors import StatusError

LONGEST_PROXY = 2048  # characters of a proxy's address
PROXY_SCHEMES = ("http", "https", "socks5")


class SecretError(Exception):
    """A Secret that does not hold what is asked of it; the message is Flux's."""


class KeyNotFound(SecretError):
    """A key that a Secret lacks altogether."""


class NoCertificates(SecretError):
    """A Secret that holds no certificates, or half of a pair."""


async def read(client: KubeClient, namespace: str, name: str) -> Object:
    """A Secret. Raises SecretError if it is not there, or may not be read."""
    try:
        return await client.get(path("v1", "secrets", namespace, name))
    except StatusError as error:
        if error.code == 404:
            raise SecretError(f"secret '{namespace}/{name}' not found") from None
        raise SecretError(f"failed to get secret '{namespace}/{name}': {error.message}") from None


def values(secret: Object) -> dict[str, bytes]:
    """The data of a Secret, decoded."""
    return {key: base64.b64decode(value or "") for key, value in (secret.get("data") or {}).items()}


def text(secret: Object, key: str) -> str | None:
    """One value as text, or None where the Secret lacks the key."""
    found = values(secret).get(key)
    return None if found is None else found.decode("utf-8", "replace")


def reference(secret: Object) -> str:
    """`namespace/name`, as messages name a Secret."""
    return f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"


# --- credentials


def basic(secret: Object) -> tuple[str, str] | None:
    """User name and password; None where there is neither. Raises SecretError for one without the other."""
    username, password = text(secret, "username"), text(secret, "password")
    if username is None and password is None:
        return None
    if username is None or password is None:
        has, lacks = ("password", "username") if username is None else ("username", "password")
        raise SecretError(f"secret '{reference(secret)}': malformed basic auth - has '{has}' but missing '{lacks}'")
    return username, password


# --- certificates


@dataclass(frozen=True)
class Certificates:
    """What a Secret holds for TLS, in PEM: a client's certificate with its key, and authorities."""

    certificate: bytes = b""
    key: bytes = b""
    authorities: bytes = b""

    def context(self, *, system: bool = False, ca: Path | None = None) -> ssl.SSLContext:
        """A client's TLS context. The authorities of the Secret take the place of those of the system, or with
        `system` stand beside them; `ca` is a file of authorities to trust where the system's are.

        Raises SecretError.
        """
        alone = bool(self.authorities) and not system
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if alone else ssl.create_default_context()
        if ca is not None and not alone:
            context.load_verify_locations(ca)
        if self.authorities:
            try:
                context.load_verify_locations(cadata=self.authorities.decode("ascii"))
            except (ssl.SSLError, UnicodeDecodeError):
                raise SecretError("failed to parse CA certificate") from None
        if self.certificate:
            with tempfile.TemporaryDirectory() as folder:
                pair = Path(folder, "pair.pem")
                pair.touch(mode=0o600)
                pair.write_bytes(self.certificate + b"\n" + self.key)
                try:
                    context.load_cert_chain(pair)
                except (ssl.SSLError, ValueError) as error:
                    raise SecretError(f"failed to parse TLS certificate and key: {error}") from None
        return context


def certificates(secret: Object) -> Certificates:
    """The certificates of a Secret, under the keys of today or of old. Raises NoCertificates."""
    held = values(secret)

    def part(key: str, old: str) -> bytes:
        return held[key] if key in held else held.get(old, b"")

    found = Certificates(part("tls.crt", "certFile"), part("tls.key", "keyFile"), part("ca.crt", "caFile"))
    name = reference(secret)
    if bool(found.certificate) != bool(found.key):
        has, lacks = ("tls.crt", "tls.key") if found.certificate else ("tls.key", "tls.crt")
        raise NoCertificates(f"secret '{name}' contains '{has}' but missing '{lacks}'")
    if not found.certificate and not found.authorities:
        raise NoCertificates(f"secret '{name}' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'")
    return found


# --- proxies


def proxy(secret: Object) -> str:
    """The URL of the proxy that a Secret names, with its credentials. Raises SecretError."""
    name, address = reference(secret), text(secret, "address")
    if address is None:
        raise KeyNotFound(f"secret '{name}': key 'address' not found")
    if not address:
        raise SecretError(f"secret '{name}': proxy address is empty")
    if len(address) > LONGEST_PROXY:
        raise SecretError(f"secret '{name}': proxy URL exceeds maximum length of {LONGEST_PROXY} characters")
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in PROXY_SCHEMES:
        raise SecretError(
            f"secret '{name}': proxy URL must use one of the supported schemes ({', '.join(PROXY_SCHEMES)}), "
            f"got '{parts.scheme}'"
        )
    username, password = text(secret, "username"), text(secret, "password")
    if username is None:
        return address
    user = urllib.parse.quote(username, safe="")
    if password is not None:
        user += ":" + urllib.parse.quote(password, safe="")
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
