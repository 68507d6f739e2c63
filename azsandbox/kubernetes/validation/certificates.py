"""Validation of certificate signing requests."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import (
    one_of,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update

_CERTIFICATES = "certificates.k8s.io"
_LEGACY = "kubernetes.io/legacy-unknown"
_PEM = re.compile(rb"-----BEGIN ([^-\n]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL)
_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)


_APPROVAL, _FINAL = ("Approved", "Denied"), ("Approved", "Denied", "Failed")
_SIGNATURES = {
    "RSA": "crypto/rsa: verification error",
    "EllipticCurve": "x509: ECDSA verification failure",
    "Ed25519": "x509: Ed25519 verification failure",
}


@on_create(_CERTIFICATES, "CertificateSigningRequest")
def signing_request(obj: Object) -> Errors:
    return _signing_request(obj, None)


def _signing_request(obj: Object, old: Object | None) -> Errors:
    """A request, new or in the place of `old`: what was wrong before may stay so."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    found: Errors = []
    error = _request_error(spec.get("request") or "")
    if error:
        found.append(invalid("spec.request", spec.get("request"), error))
    found += _usages(spec.get("usages") or [], before.get("usages") or [])
    signer = spec.get("signerName") or ""
    if signer == _LEGACY and before.get("signerName") != _LEGACY:
        text = "the legacy signerName is not allowed via this API version"
        found.append(invalid("spec.signerName", signer, text))
    else:
        found += signer_name(signer, "spec.signerName")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        text = "may not specify a duration less than 600 seconds (10 minutes)"
        found.append(invalid("spec.expirationSeconds", seconds, text))
    status, earlier = obj.get("status") or {}, (old or {}).get("status") or {}
    found += _conditions(status.get("conditions") or [], earlier.get("conditions") or [])
    certificate = status.get("certificate") or ""
    unchanged = old is not None and certificate == (earlier.get("certificate") or "")
    fault = "" if unchanged or _certificate_error(earlier.get("certificate") or "") else _certificate_error(certificate)
    return [*found, invalid("status.certificate", "<certificate data>", fault)] if fault else found


def _usages(usages: list[str], before: list[str]) -> Errors:
    found: Errors = [] if usages else [required("spec.usages")]
    if set(before) <= set(_USAGES):
        found += [
            not_supported(f"spec.usages[{index}]", usage, _USAGES)
            for index, usage in enumerate(usages)
            if usage not in _USAGES
        ]
    if len(set(before)) == len(before):
        found += [
            duplicate(f"spec.usages[{index}]", usage) for index, usage in enumerate(usages) if usage in usages[:index]
        ]
    return found


def _pem_blocks(content: bytes) -> list[tuple[str, bool, bytes]]:
    """Type, whether there are headers, and content of each PEM block."""
    found = []
    for match in _PEM.finditer(content):
        head, _, rest = match[2].rpartition(b"\n\n")
        try:
            found.append(
                (match[1].decode("latin-1"), bool(head), base64.b64decode(b"".join(rest.split()), validate=True))
            )
        except binascii.Error:
            continue
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _request_error(text: str) -> str:
    blocks = _pem_blocks(_decoded(text))
    if not blocks or blocks[0][0] != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = x509.load_der_x509_csr(blocks[0][2])
        key = type(request.public_key()).__name__.strip("_").removesuffix("PublicKey")
        return "" if request.is_signature_valid else _SIGNATURES.get(key, "x509: verification failure")
    except (ValueError, UnsupportedAlgorithm):
        return _asn1_error(blocks[0][2])


def _asn1_error(content: bytes) -> str:
    """What Go's asn1 says of the first element of what is no certificate and no request."""
    if len(content) < 2:
        return (
            "asn1: syntax error: sequence truncated" if not content else "asn1: syntax error: truncated tag or length"
        )
    size, index = content[1], 2
    if size & 0x80:
        index += size & 0x7F
        size = int.from_bytes(content[2:index], "big")
    if content[0] != 0x30:
        kind, tag = content[0] >> 6, content[0] & 0x1F
        seen = f"class:{kind} tag:{tag} length:{size} isCompound:{str(bool(content[0] & 0x20)).lower()}"
        wanted = "optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil>"
        more = "stringType:0 timeType:0 set:false omitEmpty:false"
        return f"asn1: structure error: tags don't match (16 vs {{{seen}}}) {{{wanted} {more}}} certificateRequest @2"
    if index + size > len(content):
        return "asn1: syntax error: data truncated"
    return "asn1: syntax error: sequence truncated"


def _certificate_error(text: str) -> str:
    """Why a certificate is none: it is a chain of PEM blocks, and nothing else."""
    if not text:
        return ""
    blocks = _pem_blocks(_decoded(text))
    for kind, headed, content in blocks:
        if kind != "CERTIFICATE":
            return f"only CERTIFICATE PEM blocks are allowed, found {quoted(kind)}"
        if headed:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(content)
        except ValueError:
            return "x509: malformed certificate"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def signer_name(name: str, path: str) -> Errors:
    """`domain/path`, as signers name themselves."""
    if not name:
        return [required(path)]
    host, _, rest = name.partition("/")
    if name.count("/") != 1:
        text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid(path, name, text)]
    found: Errors = [too_long(path, 253)] if len(host) > 253 else []
    found += _first_fault(host, path, formats.dns_label)
    if "." not in host:
        found.append(invalid(path, host, "should be a domain with at least two segments separated by dots"))
    found += _first_fault(rest, path, formats.dns_subdomain)
    limit = 253 + 1 + 253 + 1 + 63  # the path has room for a namespace and a name
    return found + ([too_long(path, limit)] if len(name) > limit else [])


def _first_fault(text: str, path: str, form: formats.Format) -> Errors:
    """The faults of the first label that has any."""
    faults = ((label, form(label)) for label in text.split("."))
    label, texts = next(((label, texts) for label, texts in faults if texts), ("", []))
    return [invalid(path, text, f"validating label {quoted(label)}: {said}") for said in texts]


def _of_type(conditions: list[Object], kind: str) -> list[Object]:
    return [item for item in conditions if item.get("type") == kind]


def _conditions(items: list[Object], before: list[Object]) -> Errors:
    found: Errors = []
    path = "status.conditions"
    past = [item.get("type") or "" for item in before]
    exclusive = not set(_APPROVAL) <= set(past)
    seen: list[str] = []
    for index, item in enumerate(items):
        here, kind = f"{path}[{index}]", item.get("type") or ""
        if not kind and "" not in past:
            found.append(required(f"{here}.type"))
        values = ("True",) if kind in _FINAL else ("False", "True", "Unknown")
        found += one_of(item.get("status"), f"{here}.status", values)
        if exclusive and kind in _APPROVAL and {*seen} & ({*_APPROVAL} - {kind}):
            found.append(invalid(path, kind, "Approved and Denied conditions are mutually exclusive"))
        if kind in seen and len(set(past)) == len(past):
            found.append(duplicate(f"{here}.type", kind))
        seen.append(kind)
    return found


def _changed(new: Object, old: Object, approves: bool, signs: bool) -> Errors:
    """What an update of a request, its approval or its status changes, and may not."""
    status, before = new.get("status") or {}, old.get("status") or {}
    now, past = status.get("conditions") or [], before.get("conditions") or []
    path = "status.conditions"
    found = _signing_request(new, old)
    for kind in _FINAL:
        if len(_of_type(now, kind)) < len(_of_type(past, kind)):
            found.append(forbidden(path, f'updates may not remove a condition of type "{kind}"'))
    for kind in () if approves else _APPROVAL:
        one, other = _of_type(now, kind), _of_type(past, kind)
        if len(one) > len(other):
            found.append(forbidden(path, f'updates may not add a condition of type "{kind}"'))
        elif len(one) == len(other) and one != other:
            change = internal.difference(other, one, "[]#certificates.CertificateSigningRequestCondition")
            found.append(forbidden(path, f'updates may not modify a condition of type "{kind}"\n{change}'))
    if (status.get("certificate") or "") != (before.get("certificate") or ""):
        if not signs:
            found.append(forbidden("status.certificate", "updates may not set certificate content"))
        elif before.get("certificate"):
            found.append(forbidden("status.certificate", "updates may not modify existing certificate content"))
    return found


@on_update(_CERTIFICATES, "CertificateSigningRequest")
def signing_request_update(new: Object, old: Object) -> Errors:
    return _changed(new, old, approves=False, signs=False)


@on_update(_CERTIFICATES, "CertificateSigningRequest", subresource="status")
def signing_request_status(new: Object, old: Object) -> Errors:
    return _changed(new, old, approves=False, signs=True)


@on_update(_CERTIFICATES, "CertificateSigningRequest", subresource="approval")
def signing_request_approval(new: Object, old: Object) -> Errors:
    return _changed(new, old, approves=True, signs=False)
