"""Signatures by SSH keys (OpenSSH's PROTOCOL.sshsig), in the words of hiddeco/sshsig."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from azsandbox.flux.quoting import quoted
from azsandbox.flux.source.signatures import SignatureError

_MAGIC, _NAMESPACE = b"SSHSIG", b"git"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_RSA = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
_ECDSA = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
_ARMOR = re.compile(r"-----BEGIN ([^\n]+)-----\r?\n(.*?)-----END \1-----", re.S)
_OPTIONS = re.compile(r'(?:[^\s"]|"(?:\\"|[^"])*")+[ \t]+')


@dataclass(frozen=True)
class _Signature:
    key: bytes
    namespace: bytes
    digest: bytes
    algorithm: bytes
    value: bytes
    rest: bytes  # of a security key: its flags and counter


class _Reader:
    """Reads the strings of SSH's wire format."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size > len(self.data):
            raise SignatureError("ssh: short read")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def string(self, name: str = "") -> bytes:
        try:
            return self.take(int.from_bytes(self.take(4)))
        except SignatureError:
            raise SignatureError(f"ssh: unmarshal error for field {name}" if name else "ssh: short read") from None


def fingerprint(key: bytes) -> str:
    """What identifies a key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def verified_ssh(armored: str, payload: bytes, authorized: Iterable[str]) -> str:
    """The fingerprint of the one of the keys that signed. Raises SignatureError where none did."""
    try:
        signature = _unarmored(armored.strip())
    except SignatureError as error:
        raise SignatureError(f"unable to unarmor SSH signature: {error}") from error
    unread, problems = "", dict[str, None]()
    attempted = False
    for text in authorized:
        try:
            keys = _authorized_keys(text)
        except SignatureError as error:
            unread = unread or f"unable to parse authorized keys: {error}"
            continue
        attempted = True
        for key in keys:
            if problem := _problem(signature, key, payload):
                problems[problem] = None
            else:
                return fingerprint(key)
    if unread and not attempted:
        raise SignatureError(unread)
    told = "\n".join(["no matching key", *problems])
    raise SignatureError(f"unable to verify payload with any of the given authorized keys: {told}")


def _unarmored(armored: str) -> _Signature:
    found = _ARMOR.search(armored)
    if not found:
        raise SignatureError("invalid PEM block")
    if found[1] != "SSH SIGNATURE":
        raise SignatureError(f'invalid PEM type "{found[1]}": expected "SSH SIGNATURE"')
    try:
        reader = _Reader(base64.b64decode("".join(found[2].split()), validate=True))
    except binascii.Error as error:
        raise SignatureError("invalid PEM block") from error
    magic, version = reader.take(len(_MAGIC)), int.from_bytes(reader.take(4))
    parts = ("PublicKey", "Namespace", "Reserved", "HashAlgorithm", "Signature")
    key, namespace, _reserved, digest, value = (reader.string(f"{part} of type blob") for part in parts)
    if reader.data:
        raise SignatureError("ssh: parse error in message type 0")
    if version != 1:
        raise SignatureError(f"unsupported signature version {version}: expected 1")
    if magic != _MAGIC:
        raise SignatureError(f'invalid magic preamble {quoted(magic.decode("latin-1"))}: expected "SSHSIG"')
    if digest not in _HASHES:
        named = quoted(digest.decode("utf-8", "replace"))
        raise SignatureError(f'unsupported hash algorithm {named}: must be "sha256" or "sha512"')
    inner = _Reader(value)
    algorithm, blob = (inner.string(f"{part} of type Signature") for part in ("Format", "Blob"))
    kind = _kind(key)
    if kind == "ssh-rsa" and algorithm not in _RSA:
        named = quoted(algorithm.decode("utf-8", "replace"))
        raise SignatureError(f'invalid signature format {named}: expected "rsa-sha2-256" or "rsa-sha2-512"')
    return _Signature(key, namespace, digest, algorithm, blob, inner.data)


def _kind(key: bytes) -> str:
    """The type of a key. Raises SignatureError for what is no key."""
    name = _Reader(key).string()
    kind = name.decode("utf-8", "replace")
    try:
        load_ssh_public_key(name + b" " + base64.b64encode(key))
    except UnsupportedAlgorithm:
        raise SignatureError(f"ssh: unknown key algorithm: {kind}") from None
    except Exception:
        raise SignatureError("ssh: invalid curve point" if kind.startswith("ecdsa-") else "ssh: short read") from None
    return kind


def _authorized_keys(text: str) -> list[bytes]:
    """The keys of lines as in ~/.ssh/authorized_keys."""
    keys = []
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            keys.append(_authorized_key(stripped))
    return keys


def _authorized_key(line: str) -> bytes:
    last = ""
    for candidate in (line, _OPTIONS.sub("", line, count=1)):
        named, *rest = candidate.split(None, 2)
        if not rest:
            continue
        try:
            key = base64.b64decode(rest[0], validate=True)
            kind = _kind(key)
        except binascii.Error:
            last = f"illegal base64 data at input byte {_illegal(rest[0])}"
            continue
        except SignatureError as error:
            last = str(error)
            continue
        if kind == named:
            return key
        declared, encoded = quoted(named), quoted(kind)
        last = f"ssh: authorized keys key type mismatch: human-readable type {declared}, encoded type {encoded}"
    if last:
        last = f"ssh: no key found; last parsing error for ignored line: {last}"
    raise SignatureError(f"unable to parse authorized key: {last or 'ssh: no key found'}")


def _application(key: bytes) -> bytes:
    """What a security key signs for: the last of its key's parts."""
    reader, last = _Reader(key), b""
    while reader.data:
        last = reader.string()
    return last


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _illegal(text: str) -> int:
    """Where text stops to be base64, as Go counts."""
    found = re.match(r"[A-Za-z0-9+/]*", text)
    at = found.end() if found else 0
    return at if at < len(text) else at - at % 4


def _problem(signature: _Signature, key: bytes, payload: bytes) -> str:
    """Why a key did not sign ('' where it did)."""
    if key != signature.key:
        return "public key does not match"
    if signature.namespace != _NAMESPACE:
        return "namespace does not match"
    digest = _HASHES[signature.digest](payload).digest()
    parts = (_NAMESPACE, b"", signature.digest, digest)
    signed = _MAGIC + b"".join(len(part).to_bytes(4) + part for part in parts)
    kind = _Reader(key).string()
    public = load_ssh_public_key(kind + b" " + base64.b64encode(key))
    if kind.startswith(b"sk-"):
        signed = _sha256(_application(key)) + signature.rest + _sha256(signed)
    try:
        if isinstance(public, rsa.RSAPublicKey) and signature.algorithm in _RSA:
            public.verify(signature.value, signed, padding.PKCS1v15(), _RSA[signature.algorithm])
        elif isinstance(public, ed25519.Ed25519PublicKey) and signature.algorithm == kind:
            public.verify(signature.value, signed)
        elif isinstance(public, ec.EllipticCurvePublicKey) and signature.algorithm == kind:
            reader = _Reader(signature.value)
            r, s = int.from_bytes(reader.string()), int.from_bytes(reader.string())
            public.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(_ECDSA[public.key_size]))
        else:
            given, named = signature.algorithm.decode("utf-8", "replace"), kind.decode("utf-8", "replace")
            return f"ssh: signature type {given} for key type {named}"
    except InvalidSignature:
        if isinstance(public, rsa.RSAPublicKey):
            return "crypto/rsa: verification error"
        return "ssh: signature did not verify"
    except SignatureError as error:
        return str(error)
    return ""
