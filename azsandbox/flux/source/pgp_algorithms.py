"""Keys and hashes of OpenPGP (RFC 9580, section 9), and how signatures by them are verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, utils

from azsandbox.flux.source.pgp_packets import Reader, UnreadableError

Hash = hashes.HashAlgorithm


class Signed(Protocol):
    """What of a signature its verification needs."""

    hash: Hash
    values: bytes


Verify = Callable[[Signed, bytes], object]  # raises InvalidSignature

_RSA, _RSA_SIGNS, _DSA, _ECDSA, _EDDSA, _ED25519, _ED448 = 1, 3, 17, 19, 22, 27, 28
NAMES = {
    _RSA: "RSA",
    _RSA_SIGNS: "RSA",
    _DSA: "DSA",
    _ECDSA: "ECDSA",
    _EDDSA: "EdDSA",
    _ED25519: "Ed25519",
    _ED448: "ed448",
}
HASHES: dict[int, Hash] = {
    2: hashes.SHA1(),  # noqa: S303 (as old keys are signed)
    8: hashes.SHA256(),
    9: hashes.SHA384(),
    10: hashes.SHA512(),
    11: hashes.SHA224(),
    12: hashes.SHA3_256(),
    14: hashes.SHA3_512(),
}
_CURVES: dict[str, ec.EllipticCurve] = {
    "2a8648ce3d030107": ec.SECP256R1(),
    "2b81040022": ec.SECP384R1(),
    "2b81040023": ec.SECP521R1(),
    "2b8104000a": ec.SECP256K1(),
    "2b2403030208010107": ec.BrainpoolP256R1(),
    "2b240303020801010b": ec.BrainpoolP384R1(),
    "2b240303020801010d": ec.BrainpoolP512R1(),
}
_ED25519_CURVE = "2b06010401da470f01"


def public(algorithm: int, reader: Reader) -> Verify | None:
    """How a key's signatures are verified; None for one that makes none."""
    match algorithm:
        case 1 | 3:
            modulus, exponent = reader.mpi(), reader.mpi()
            return _rsa(rsa.RSAPublicNumbers(exponent, modulus).public_key())
        case 17:
            p, q, g, y = (reader.mpi() for _ in range(4))
            return _dsa(dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key())
        case 19 | 22:
            curve = reader.take(reader.number(1)).hex()
            point = reader.take((reader.number(2) + 7) // 8)
            if algorithm == _EDDSA and curve == _ED25519_CURVE:
                return _eddsa(ed25519.Ed25519PublicKey.from_public_bytes(point[1:]))
            if algorithm == _ECDSA and curve in _CURVES:
                return _ecdsa(ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve], point))
            raise UnreadableError(f"openpgp: unsupported feature: unknown curve {curve}")
        case 27:
            return _edwards(ed25519.Ed25519PublicKey.from_public_bytes(reader.take(32)))
        case 28:
            return _edwards(ed448.Ed448PublicKey.from_public_bytes(reader.take(57)))
    _pass_encryption(algorithm, reader)
    return None


def _pass_encryption(algorithm: int, reader: Reader) -> None:
    """Reads past a key that only encrypts."""
    match algorithm:
        case 2:
            reader.mpi(), reader.mpi()
        case 16:
            reader.mpi(), reader.mpi(), reader.mpi()
        case 18:
            reader.take(reader.number(1))
            reader.mpi()
            reader.take(reader.number(1))
        case 25:
            reader.take(32)
        case 26:
            reader.take(56)
        case _:
            raise UnreadableError(f"openpgp: unsupported feature: public key type: {algorithm}")


def _rsa(key: rsa.RSAPublicKey) -> Verify:
    def verify(signature: Signed, data: bytes) -> object:
        value = Reader(signature.values).mpi().to_bytes((key.key_size + 7) // 8)
        return key.verify(value, data, padding.PKCS1v15(), signature.hash)

    return verify


def _dsa(key: dsa.DSAPublicKey) -> Verify:
    return lambda signature, data: key.verify(_pair(signature), data, signature.hash)


def _ecdsa(key: ec.EllipticCurvePublicKey) -> Verify:
    return lambda signature, data: key.verify(_pair(signature), data, ec.ECDSA(signature.hash))


def _eddsa(key: ed25519.Ed25519PublicKey) -> Verify:
    def verify(signature: Signed, data: bytes) -> object:
        reader = Reader(signature.values)
        value = reader.mpi().to_bytes(32) + reader.mpi().to_bytes(32)
        return key.verify(value, _digest(signature, data))

    return verify


def _edwards(key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) -> Verify:
    return lambda signature, data: key.verify(signature.values, _digest(signature, data))


def _pair(signature: Signed) -> bytes:
    reader = Reader(signature.values)
    r, s = reader.mpi(), reader.mpi()
    return utils.encode_dss_signature(r, s)


def _digest(signature: Signed, data: bytes) -> bytes:
    context = hashes.Hash(signature.hash)
    context.update(data)
    return context.finalize()
