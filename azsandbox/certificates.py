"""The certificates of one installation: an authority of its own, and leaves for the names it serves.

Clients trust the authority by their environment only (`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`); nothing
is put into the system's store. Keys are readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

AUTHORITY_DAYS = 3650
LEAF_DAYS = 397  # what browsers and Apple's clients accept at most (CA/Browser Forum, ballot SC31)
RENEW_DAYS = 30  # a leaf that ends sooner is made anew
_SKEW = dt.timedelta(hours=1)  # for clocks that run behind


class Leaf(NamedTuple):
    """Files of a certificate and of its key, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """The certificate authority below `home`, made when it is not there yet."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "certificates"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca = home / "ca.pem"
        self.bundle = home / "bundle.pem"
        self._key_file = home / "ca-key.pem"
        self._key: EllipticCurvePrivateKey | None = None
        self._certificate: x509.Certificate | None = None
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        if not (self.ca.exists() and self._key_file.exists()):
            self._make()
        if not self.bundle.exists():
            self._write_bundle()

    def renew(self) -> None:
        """Another authority in the place of this one: nothing that it signed is worth anything any more."""
        for file in (*self.folder.iterdir(), self.ca, self.bundle, self._key_file):
            file.unlink(missing_ok=True)
        self._key = self._certificate = None
        self._contexts.clear()
        self._make()
        self._write_bundle()

    def leaf(self, *names: str) -> Leaf:
        """A certificate for `names` (host names, `*.` names or IP addresses), kept on disk until it nears its end."""
        stem = re.sub(r"[^a-z0-9.-]", "_", "+".join(names).lower())
        if len(stem) > 100:
            import hashlib

            stem = f"{stem[:60]}-{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
        leaf = Leaf(self.folder / f"{stem}.pem", self.folder / f"{stem}-key.pem")
        if not self._usable(leaf):
            self._make_leaf(leaf, names)
        return leaf

    def context(self, *names: str) -> ssl.SSLContext:
        """A server's TLS context for `names`, made once a process."""
        if names not in self._contexts:
            leaf = self.leaf(*names)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(leaf.certificate, leaf.key)
            self._contexts[names] = context
        return self._contexts[names]

    def context_for_clients(self, *names: str) -> ssl.SSLContext:
        """As `context`, for a server that takes certificates of this authority from its clients, if they show one."""
        leaf = self.leaf(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(leaf.certificate, leaf.key)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client(self, name: str, organizations: tuple[str, ...] = (), days: int = 730) -> tuple[str, str]:
        """A client certificate and its key, as PEM: `name` is the user, `organizations` are the groups."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, _sha256())
        return self.sign(request, days * 86400), _key_pem(key).decode()

    def sign(
        self, request: x509.CertificateSigningRequest, seconds: int, usages: tuple[str, ...] = ("client auth",)
    ) -> str:
        """The certificate that a request asks for, with its alternative names, as PEM.

        `usages` are Kubernetes' names of them. It never outlives the authority.
        """
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        authority_key, authority = self._load()
        now = dt.datetime.now(dt.UTC)
        known = {
            "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
            "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
            "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
            "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
            "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
            "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
            "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
            "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
        }
        extended = [known[usage] for usage in usages if usage in known]
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(authority.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(min(now + dt.timedelta(seconds=seconds), authority.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
        )
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        with contextlib.suppress(x509.ExtensionNotFound):
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(names.value, critical=False)
        return _certificate_pem(builder.sign(authority_key, _sha256())).decode()

    # --- inside

    def _usable(self, leaf: Leaf) -> bool:
        """Whether the files are there and the certificate is young enough; its end is judged by the file's age,
        so that a start need not parse certificates."""
        if not (leaf.certificate.exists() and leaf.key.exists()):
            return False
        made = leaf.certificate.stat().st_mtime
        age = dt.datetime.now(dt.UTC).timestamp() - made
        return age < (LEAF_DAYS - RENEW_DAYS) * 86400 and made >= self.ca.stat().st_mtime

    def _make(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "azsandbox"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"azsandbox authority {serial & 0xFFFFFFFF:08x}"),
            ]
        )
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + dt.timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, _sha256())
        )
        _write_secret(self._key_file, _key_pem(key))
        _write_public(self.ca, _certificate_pem(certificate))
        self.bundle.unlink(missing_ok=True)

    def _make_leaf(self, leaf: Leaf, names: tuple[str, ...]) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        authority_key, authority = self._load()
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + dt.timedelta(days=LEAF_DAYS))
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, _sha256())
        )
        _write_secret(leaf.key, _key_pem(key))
        _write_public(leaf.certificate, _certificate_pem(certificate))

    def _load(self) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
        if self._key is None or self._certificate is None:
            from cryptography import x509
            from cryptography.hazmat.primitives.asymmetric import ec
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            key = load_pem_private_key(self._key_file.read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError(f"{self._key_file} holds {type(key).__name__}, not an elliptic-curve key")
            self._key, self._certificate = key, x509.load_pem_x509_certificate(self.ca.read_bytes())
        return self._key, self._certificate

    def _write_bundle(self) -> None:
        import certifi

        roots = Path(certifi.where()).read_bytes()
        _write_public(self.bundle, self.ca.read_bytes() + b"\n" + roots)


def _sha256() -> SHA256:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _write_secret(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may ever read: the mode is set before the first byte is in it."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _write_public(path: Path, data: bytes) -> None:
    """Replaces a file in one step, so that no reader sees half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    fresh.replace(path)
