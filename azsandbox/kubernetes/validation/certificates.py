"""Validation of certificate signing requests."""

from __future__ import annotations

import base64
import binascii

from cryptography import x509

from azsandbox.kubernetes.request import Object
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
    required,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update

_CERTIFICATES = "certificates.k8s.io"
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


@on_create(_CERTIFICATES, "CertificateSigningRequest")
def signing_request(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found: Errors = []
    error = _request_error(spec.get("request") or "")
    if error:
        found.append(invalid("spec.request", spec.get("request") or "", error))
    usages = spec.get("usages") or []
    if not usages:
        found.append(required("spec.usages"))
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            found.append(not_supported(f"spec.usages[{index}]", usage, _USAGES))
        if usage in usages[:index]:
            found.append(duplicate(f"spec.usages[{index}]", usage))
    found += _signer(spec.get("signerName") or "")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        text = "may not specify a duration less than 600 seconds (10 minutes)"
        found.append(invalid("spec.expirationSeconds", seconds, text))
    return found


def _request_error(text: str) -> str:
    try:
        content = base64.b64decode(text)
    except (binascii.Error, ValueError):
        content = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in content:
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        x509.load_pem_x509_csr(content)
    except ValueError as error:
        return str(error)
    return ""


def _signer(name: str) -> Errors:
    path = "spec.signerName"
    if not name:
        return [required(path)]
    host, slash, rest = name.partition("/")
    if not slash or "/" in rest:
        text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid(path, name, text)]
    if name == "kubernetes.io/legacy-unknown":
        text = "the legacy signerName is not allowed via this API version"
        return [invalid(path, name, text)]
    found = [invalid(path, host, text) for text in formats.dns_subdomain(host)]
    if "." not in host:
        found.append(invalid(path, host, "should be a domain with at least two segments separated by dots"))
    return found + [invalid(path, rest, text) for text in formats.dns_subdomain(rest)]


@on_update(_CERTIFICATES, "CertificateSigningRequest", subresource="status")
@on_update(_CERTIFICATES, "CertificateSigningRequest", subresource="approval")
def signing_request_status(new: Object, old: Object) -> Errors:
    status, before = new.get("status") or {}, old.get("status") or {}
    found = _request_conditions(status, before)
    certificate = status.get("certificate")
    if before.get("certificate") and certificate != before["certificate"]:
        text = "updates may not set a certificate if already set"
        found.append(forbidden("status.certificate", "updates may not modify a certificate" if certificate else text))
    return found


def _request_conditions(status: Object, before: Object) -> Errors:
    found: Errors = []
    path = "status.conditions"
    seen: set[str] = set()
    for index, item in enumerate(status.get("conditions") or []):
        here, kind, value = f"{path}[{index}]", item.get("type") or "", item.get("status") or ""
        if not kind:
            found.append(required(f"{here}.type"))
        elif kind in seen and kind not in ("Approved", "Denied", "Failed"):
            found.append(duplicate(f"{here}.type", kind))
        seen.add(kind)
        values = ("True",) if kind in ("Approved", "Denied", "Failed") else ("False", "True", "Unknown")
        found += one_of(value, f"{here}.status", values)
        opposite = {"Approved": "Denied", "Denied": "Approved"}.get(kind)
        if opposite in seen:
            text = f"{kind} and {opposite} conditions are mutually exclusive"
            found.append(invalid(f"{here}.type", kind, text))
    for kind in ("Approved", "Denied", "Failed"):
        past = [c for c in before.get("conditions") or [] if c.get("type") == kind]
        if past and kind not in seen:
            found.append(forbidden(path, f'updates may not remove a condition of type "{kind}"'))
    return found
