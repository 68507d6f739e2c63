from __future__ import annotations

import stat
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from azsandbox.certificates import Authority


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.leaf("localhost", "127.0.0.1")
    for path in (tmp_path / "ca-key.pem", leaf.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_start_keeps_the_authority_and_its_leaves(tmp_path: Path) -> None:
    first = Authority(tmp_path)
    before = (first.ca.read_bytes(), first.leaf("management.azure.com").certificate.read_bytes())
    second = Authority(tmp_path)
    assert (second.ca.read_bytes(), second.leaf("management.azure.com").certificate.read_bytes()) == before


def test_a_leaf_of_another_authority_is_made_anew(tmp_path: Path) -> None:
    import os

    first = Authority(tmp_path).leaf("localhost").certificate
    old = first.read_bytes()
    (tmp_path / "ca.pem").unlink()
    os.utime(first, (1, 1))
    assert Authority(tmp_path).leaf("localhost").certificate.read_bytes() != old


def test_certificates_carry_what_openssl_asks_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    leaf = x509.load_pem_x509_certificate(authority.leaf("localhost", "::1", "*.azmk8s.io").certificate.read_bytes())
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "*.azmk8s.io"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["::1"]
    for certificate in (ca, leaf):
        for oid in (ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER):
            assert certificate.extensions.get_extension_for_oid(oid)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert ca.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_the_bundle_has_the_public_roots_besides(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    bundle = authority.bundle.read_text()
    assert bundle.startswith(authority.ca.read_text())
    assert bundle.count("BEGIN CERTIFICATE") > 50
