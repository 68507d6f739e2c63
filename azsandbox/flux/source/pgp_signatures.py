"""Signatures by OpenPGP keys of version 4 (RFC 9580), by the rules and in the words of ProtonMail/go-crypto."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature

from azsandbox.flux.source.pgp_algorithms import HASHES, NAMES, Hash, Verify, public
from azsandbox.flux.source.pgp_packets import Reader, UnreadableError, invalid, length, packets, unarmored
from azsandbox.flux.source.signatures import SignatureError

_PUBLIC, _PRIVATE = "PGP PUBLIC KEY BLOCK", "PGP PRIVATE KEY BLOCK"
# Packets
_SIGNATURE, _SECRET_KEY, _PUBLIC_KEY, _SECRET_SUBKEY, _USER_ID, _PUBLIC_SUBKEY = 2, 5, 6, 7, 13, 14
# Types of signatures
_TEXT, _CERTIFICATIONS, _BINDING, _CROSS_BINDING, _KEY_REVOKED, _SUBKEY_REVOKED, _CERTIFICATION_REVOKED = (
    0x01,
    range(0x10, 0x14),
    0x18,
    0x19,
    0x20,
    0x28,
    0x30,
)
_MAY_SIGN = 0x02
# Parts of a signature that say something; any other that is critical makes the signature unreadable
_KNOWN_PARTS = {2, 3, 4, 5, 6, 9, 11, 16, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 32, 33, 35, 39}


@dataclass
class _Signature:
    kind: int
    algorithm: int
    hash: Hash
    trailer: bytes
    values: bytes
    created: int = 0
    lifetime: int = 0
    key_lifetime: int = 0
    flags: int | None = None
    issuer: bytes = b""  # a key's id
    fingerprint: bytes = b""
    primary: bool = False
    notation: str = ""  # a critical one
    embedded: _Signature | None = None

    def expired(self, now: float) -> bool:
        return self.created > now or (bool(self.lifetime) and now > self.created + self.lifetime)


@dataclass
class _Key:
    body: bytes
    algorithm: int
    created: int
    verify: Verify | None
    signature: _Signature | None = None
    revoked: bool = False

    @property
    def hashed(self) -> bytes:
        return b"\x99" + len(self.body).to_bytes(2) + self.body

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha1(self.hashed).digest()  # noqa: S324 (as the format says)

    @property
    def id(self) -> bytes:
        return self.fingerprint[-8:]

    def named_by(self, signature: _Signature) -> bool:
        if signature.fingerprint:
            return signature.fingerprint == self.fingerprint
        return signature.issuer == self.id

    def expired(self, signature: _Signature, now: float) -> bool:
        lifetime = signature.key_lifetime
        return self.created > now or (bool(lifetime) and now > self.created + lifetime)

    def problem(self, signature: _Signature, data: bytes) -> str:
        """Why a signature of data is not the key's ('' where it is)."""
        if self.verify is None:
            return "openpgp: invalid argument: public key cannot generate signatures"
        if signature.algorithm != self.algorithm:
            return "openpgp: invalid argument: public key and signature use different algorithms"
        try:
            self.verify(signature, data + signature.trailer)
        except (InvalidSignature, ValueError, OverflowError, UnreadableError):
            return f"openpgp: invalid signature: {NAMES[self.algorithm]} verification failure"
        return ""


@dataclass
class _Identity:
    signature: _Signature | None = None
    revocations: int = 0


@dataclass
class _Entity:
    primary: _Key
    identities: dict[bytes, _Identity] = field(default_factory=dict)
    subkeys: list[_Key] = field(default_factory=list)

    def identity(self) -> _Identity:
        best: _Identity | None = None
        for identity in self.identities.values():
            if best is None or _preferred(identity) > _preferred(best):
                best = identity
        return best or _Identity()


def _preferred(identity: _Identity) -> tuple[int, bool, int]:
    signature = identity.signature
    return -identity.revocations, bool(signature and signature.primary), signature.created if signature else -1


def verified_pgp(armored: str, payload: bytes, key_rings: Iterable[str]) -> str:
    """The identity of the one of the keys that signed. Raises SignatureError where none did."""
    unread, attempted = "", False
    for text in key_rings:
        try:
            ring = list(_key_ring(text))
        except UnreadableError as error:
            unread = unread or f"unable to read armored key ring: {error}"
            continue
        attempted = True
        try:
            signer = _signer(ring, armored.strip(), payload)
        except UnreadableError:
            continue
        if signer:
            return signer.primary.id.hex().upper()
    if unread and not attempted:
        raise SignatureError(unread)
    raise SignatureError("unable to verify payload with any of the given key rings: no matching key")


def _signer(ring: list[_Entity], armored: str, payload: bytes) -> _Entity | None:
    kind, data = unarmored(armored)
    if kind != "PGP SIGNATURE":
        return None
    for tag, body in packets(data):
        signature = _signature(body) if tag == _SIGNATURE else None
        if signature is None or not signature.issuer:
            return None
        found = [
            (entity, key)
            for entity in ring
            for key in (entity.primary, *entity.subkeys)
            if key.id == signature.issuer and key.signature and (key.signature.flags or 0) & _MAY_SIGN
        ]
        if not found:
            continue
        text = _canonical(payload) if signature.kind == _TEXT else payload
        for entity, key in found:
            if not key.problem(signature, text):
                return entity if _holds(entity, key, signature) else None
        return None
    return None


def _holds(entity: _Entity, key: _Key, signature: _Signature) -> bool:
    """Whether a signature still means something: nothing expired or was revoked."""
    now, identity = time.time(), entity.identity()
    of_primary = identity.signature
    if of_primary is None or key.signature is None:
        return False
    parts = [signature, of_primary]
    if key is not entity.primary:
        parts += [key.signature, *([key.signature.embedded] if key.signature.embedded else [])]
    if any(part.notation for part in parts) or entity.primary.revoked or key.revoked or identity.revocations:
        return False
    if entity.primary.expired(of_primary, now) or (key is not entity.primary and key.expired(key.signature, now)):
        return False
    return not any(part.expired(now) for part in parts)


def _canonical(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# --- reading


def _key_ring(text: str) -> Iterator[_Entity]:
    """The keys of an armored block that can be read."""
    kind, data = unarmored(text)
    if kind not in (_PUBLIC, _PRIVATE):
        raise UnreadableError(
            f"openpgp: invalid argument: expected public or private key block, got: {kind}",
        )
    groups: list[list[tuple[int, bytes]]] = []
    for tag, body in packets(data):
        if tag in (_PUBLIC_KEY, _SECRET_KEY) or not groups:
            groups.append([])
        groups[-1].append((tag, body))
    problem: UnreadableError | None = None
    found = False
    for group in groups:
        try:
            entity = _entity(group)
        except UnreadableError as error:
            problem = error
            continue
        found = True
        yield entity
    if problem and not found:
        raise problem


def _entity(packets: list[tuple[int, bytes]]) -> _Entity:
    tag, body = packets[0]
    if tag not in (_PUBLIC_KEY, _SECRET_KEY):
        raise invalid("first packet was not a public/private key")
    entity = _Entity(_key(body))
    if entity.primary.verify is None:
        raise invalid("primary key cannot be used for signatures")
    on: tuple[int, Any] = (tag, None)
    for tag, body in packets[1:]:
        if tag == _USER_ID:
            on = tag, body
        elif tag in (_PUBLIC_SUBKEY, _SECRET_SUBKEY):
            on = tag, _key(body)
            entity.subkeys.append(on[1])
        elif tag == _SIGNATURE and (signature := _signature(body)):
            _sign(entity, on, signature)
    if not entity.identities:
        raise invalid("v4 entity without any identities")
    if any(key.signature is None for key in entity.subkeys):
        raise invalid("subkey packet not followed by signature")
    entity.primary.signature = entity.identity().signature
    return entity


def _sign(entity: _Entity, on: tuple[int, Any], signature: _Signature) -> None:
    """Notes a signature within a key, of what stands before it."""
    tag, what = on
    if tag == _USER_ID:
        if signature.kind not in (*_CERTIFICATIONS, _CERTIFICATION_REVOKED):
            raise invalid("user ID signature with wrong type")
        if entity.primary.named_by(signature):
            data = entity.primary.hashed + b"\xb4" + len(what).to_bytes(4) + what
            if problem := entity.primary.problem(signature, data):
                raise invalid(f"user ID self-signature invalid: {problem}")
            identity = entity.identities.setdefault(what, _Identity())
            if signature.kind == _CERTIFICATION_REVOKED:
                identity.revocations += 1
            elif identity.signature is None or signature.created > identity.signature.created:
                identity.signature = signature
    elif tag in (_PUBLIC_SUBKEY, _SECRET_SUBKEY):
        if signature.kind not in (_BINDING, _SUBKEY_REVOKED):
            raise invalid("subkey signature with wrong type")
        _bind(entity.primary, what, signature)
    elif signature.kind == _KEY_REVOKED:
        if entity.primary.problem(signature, entity.primary.hashed):
            raise invalid("revocation signature signed by alternate key")
        entity.primary.revoked = True


def _bind(primary: _Key, subkey: _Key, signature: _Signature) -> None:
    data = primary.hashed + subkey.hashed
    if problem := primary.problem(signature, data):
        raise invalid(f"subkey signature invalid: {problem}")
    if signature.kind == _SUBKEY_REVOKED:
        subkey.revoked = True
        return
    if (signature.flags or 0) & _MAY_SIGN:
        cross = signature.embedded
        if cross is None or cross.kind != _CROSS_BINDING:
            raise invalid("subkey signature invalid: openpgp: invalid data: signing subkey is missing cross-signature")
        if problem := subkey.problem(cross, data):
            text = f"error while verifying cross-signature: {problem}"
            raise invalid(f"subkey signature invalid: openpgp: invalid data: {text}")
    if subkey.signature is None or signature.created > subkey.signature.created:
        subkey.signature = signature


def _signature(body: bytes) -> _Signature | None:
    """A signature, or None for one of a kind that is passed over."""
    reader = Reader(body)
    if reader.number(1) != 4:
        return None
    kind, algorithm, digest, size = (reader.number(count) for count in (1, 1, 1, 2))
    if digest not in HASHES or algorithm not in NAMES:
        return None
    hashed = reader.take(size)
    covered = body[: reader.at]
    unhashed = reader.take(reader.number(2))
    reader.take(2)  # the first bytes of the digest
    trailer = covered + b"\x04\xff" + len(covered).to_bytes(4)
    signature = _Signature(kind, algorithm, HASHES[digest], trailer, reader.rest())
    known = [_part(signature, part, critical, value) for part, critical, value in _parts(hashed)]
    for part, critical, value in _parts(unhashed):
        if part in (16, 32, 33):
            _part(signature, part, critical, value)
    return signature if all(known) else None


def _parts(data: bytes) -> Iterator[tuple[int, bool, bytes]]:
    reader = Reader(data)
    while reader:
        part = reader.take(length(reader))
        if not part:
            raise invalid("zero length signature subpacket")
        yield part[0] & 0x7F, bool(part[0] & 0x80), part[1:]


def _part(signature: _Signature, part: int, critical: bool, value: bytes) -> bool:
    """Notes a part of a signature; False for a critical one that nobody knows."""
    match part:
        case 2:
            signature.created = int.from_bytes(value)
        case 3:
            signature.lifetime = int.from_bytes(value)
        case 9:
            signature.key_lifetime = int.from_bytes(value)
        case 16:
            signature.issuer = value
        case 20 if critical:
            signature.notation = "critical"
        case 25:
            signature.primary = value != b"\x00"
        case 27:
            signature.flags = value[0] if value else 0
        case 32:
            signature.embedded = _signature(value)
        case 33 if value[:1] == b"\x04":
            signature.issuer, signature.fingerprint = value[-8:], value[1:]
    return not critical or part in _KNOWN_PARTS


def _key(body: bytes) -> _Key:
    """A public key, or the public half of a private one."""
    reader = Reader(body)
    version = reader.number(1)
    if version != 4:
        raise UnreadableError(f"openpgp: unsupported feature: public key version {version}")
    created, algorithm = reader.number(4), reader.number(1)
    try:
        verify = public(algorithm, reader)
    except ValueError as error:
        raise invalid(str(error)) from error
    return _Key(body[: reader.at], algorithm, created, verify)
