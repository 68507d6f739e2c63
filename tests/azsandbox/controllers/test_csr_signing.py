"""Which requests a cluster's own signers sign, and for how long."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azsandbox.certificates import Authority
from azsandbox.controllers import csr_signing
from azsandbox.controllers.csr_signing import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, refusal, validity_seconds

KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT_USAGES = ["key encipherment", "digital signature", "client auth"]
SERVER_USAGES = ["digital signature", "server auth"]


def request(name: str, organization: str = "", *alternatives: x509.GeneralName) -> x509.CertificateSigningRequest:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(KEY, hashes.SHA256())


DNS, ADDRESS = x509.DNSName("node"), x509.IPAddress(ipaddress.ip_address("10.0.0.4"))
NODE = ("system:node:one", "system:nodes")


@pytest.mark.parametrize(
    ("signer", "asked", "usages", "expected"),
    [
        (CLIENT, request("jane"), ["client auth"], ""),
        (CLIENT, request("jane"), ["server auth"], "invalid usage for client certificate: server auth"),
        (CLIENT, request("jane"), ["digital signature"], "missing required usage for client certificate: client auth"),
        (KUBELET_CLIENT, request(*NODE), CLIENT_USAGES, ""),
        (KUBELET_CLIENT, request("one"), CLIENT_USAGES, "subject organization is not system:nodes"),
        (KUBELET_CLIENT, request(*NODE, DNS), CLIENT_USAGES, "DNS subjectAltNames are not allowed"),
        (
            KUBELET_CLIENT,
            request(*NODE),
            ["client auth"],
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (
            KUBELET_CLIENT,
            request("one", "system:nodes"),
            ["client auth"],
            "subject common name does not begin with system:node:",
        ),
        (KUBELET_SERVING, request(*NODE, DNS, ADDRESS), SERVER_USAGES, ""),
        (KUBELET_SERVING, request(*NODE), SERVER_USAGES, "DNS or IP subjectAltName is required"),
        (csr_signing.LEGACY_UNKNOWN, request("any"), ["code signing"], ""),
    ],
)
def test_a_signer_refuses_what_is_not_of_its_kind(
    signer: str, asked: x509.CertificateSigningRequest, usages: list[str], expected: str
) -> None:
    assert refusal(signer, asked, usages) == expected


def test_a_certificate_lives_as_long_as_asked_within_a_year() -> None:
    assert validity_seconds(None) == 365 * 86400
    assert validity_seconds(3600) == 3600
    assert validity_seconds(1) == 600
    assert validity_seconds(10**9) == 365 * 86400


def test_a_serving_certificate_keeps_its_alternative_names(tmp_path: Path) -> None:
    text = Authority(tmp_path).sign(request(*NODE, DNS, ADDRESS), 3600, ("digital signature", "server auth"))
    signed = x509.load_pem_x509_certificate(text.encode())
    names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [DNS, ADDRESS]
    usage = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert (signed.not_valid_after_utc - signed.not_valid_before_utc).total_seconds() == 3900
