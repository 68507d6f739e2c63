"""The warning of a TLS Secret whose key and certificate do not go together: what Go's tls.X509KeyPair says."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_BLOCK = re.compile(rb"-----BEGIN ([^-\n]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL)


def fault(certificate: bytes, key: bytes) -> str:
    """Why a certificate and a key, each as PEM, are no pair; "" if they are one."""
    blocks = _blocks(certificate)
    leaf = next((content for kind, content in blocks if kind == "CERTIFICATE"), None)
    if leaf is None:
        return _no_certificate([kind for kind, _ in blocks])
    keys = _blocks(key)
    private = next((content for kind, content in keys if kind.endswith("PRIVATE KEY")), None)
    if private is None:
        return _no_key([kind for kind, _ in keys])
    try:
        public = x509.load_der_x509_certificate(leaf).public_key()
    except (ValueError, TypeError):
        return "x509: malformed certificate"
    try:
        own = serialization.load_der_private_key(private, None).public_key()
    except (ValueError, TypeError):
        return "tls: failed to parse private key"
    if type(public) is not type(own):
        return "tls: private key type does not match public key type"
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return "" if public.public_bytes(*spki) == own.public_bytes(*spki) else "tls: private key does not match public key"


def _blocks(text: bytes) -> list[tuple[str, bytes]]:
    found = []
    for match in _BLOCK.finditer(text):
        try:
            content = base64.b64decode(b"".join(match[2].split()), validate=True)
        except binascii.Error:
            continue
        found.append((match[1].decode("latin-1"), content))
    return found


def _no_certificate(skipped: list[str]) -> str:
    if not skipped:
        return "tls: failed to find any PEM data in certificate input"
    if len(skipped) == 1 and skipped[0].endswith("PRIVATE KEY"):
        return (
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may "
            "have been switched"
        )
    kinds = " ".join(skipped)
    return (
        'tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following '
        f"types: [{kinds}]"
    )


def _no_key(skipped: list[str]) -> str:
    if not skipped:
        return "tls: failed to find any PEM data in key input"
    if len(skipped) == 1 and skipped[0] == "CERTIFICATE":
        return "tls: found a certificate rather than a key in the PEM for the private key"
    kinds = " ".join(skipped)
    return (
        'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the '
        f"following types: [{kinds}]"
    )
