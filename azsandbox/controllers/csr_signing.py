"""CertificateSigningRequests: signs what was approved for the signers that a control plane has itself.

Source of the rules and texts: Kubernetes 1.35, pkg/controller/certificates/signer and authority;
pkg/apis/certificates/helpers.go.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.csr_approval import is_approved
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import copy_of, is_true

if TYPE_CHECKING:
    from azsandbox.certificates import Authority

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
SIGNERS = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN)

LONGEST_SECONDS = 365 * 86400  # --cluster-signing-duration
SHORTEST_SECONDS = 600

_NODES = "system:nodes"
_NOT_A_NODE = "subject common name does not begin with system:node:"


def validity_seconds(asked: int | None) -> int:
    """How long a certificate is to be valid, of `spec.expirationSeconds`."""
    if asked is None:
        return LONGEST_SECONDS
    return min(max(asked, SHORTEST_SECONDS), LONGEST_SECONDS)


def refusal(signer: str, request: x509.CertificateSigningRequest, usages: list[str]) -> str:
    """Why a signer does not sign what was approved; "" if it does."""
    if signer == CLIENT:
        for usage in usages:
            if usage not in ("digital signature", "key encipherment", "client auth"):
                return f"invalid usage for client certificate: {usage}"
        return "" if "client auth" in usages else "missing required usage for client certificate: client auth"
    if signer in (KUBELET_CLIENT, KUBELET_SERVING):
        return _kubelet_refusal(request, usages, serving=signer == KUBELET_SERVING)
    return ""


def _kubelet_refusal(request: x509.CertificateSigningRequest, usages: list[str], serving: bool) -> str:
    subject = request.subject
    organizations = [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    dns, addresses, mails, uris = _alternative_names(request)
    kind = "server auth" if serving else "client auth"
    whole = {"key encipherment", "digital signature", kind}
    named = bool(names) and names[0].startswith("system:node:")
    if organizations != [_NODES]:
        return f"subject organization is not {_NODES}"
    if serving and not dns and not addresses:
        return "DNS or IP subjectAltName is required"
    forbidden: tuple[tuple[list[Any], str], ...] = ((mails, "Email"), (uris, "URI"))
    if not serving:
        forbidden = ((dns, "DNS"), (mails, "Email"), (addresses, "IP"), (uris, "URI"))
    for found, text in forbidden:
        if found:
            return f"{text} subjectAltNames are not allowed"
    if not serving and not named:
        return _NOT_A_NODE
    if set(usages) not in (whole, whole - {"key encipherment"}):
        return f"usages did not match [{' '.join(sorted(whole))}]"
    return "" if named else _NOT_A_NODE


def _alternative_names(
    request: x509.CertificateSigningRequest,
) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """DNS names, addresses, mail addresses and URIs that a request names."""
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], [], [], []
    return (
        list(names.get_values_for_type(x509.DNSName)),
        list(names.get_values_for_type(x509.IPAddress)),
        list(names.get_values_for_type(x509.RFC822Name)),
        list(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


class CSRSigningController(Controller):
    """Signs approved requests with the cluster's authority. Without an authority (option `authority`) none is signed."""

    name = "csrsigning"
    account = "certificate-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.authority: Authority | None = options.get("authority")
        self.requests = self.follow(informers.of("certificates.k8s.io/v1", "certificatesigningrequests"))

    async def reconcile(self, key: str) -> None:
        """Signs a request, or notes why it cannot be signed."""
        request = self.requests.get(key)
        if request is None or self.authority is None or request["spec"]["signerName"] not in SIGNERS:
            return
        status = request.get("status") or {}
        if status.get("certificate") or not is_approved(request) or is_true(status, "Failed"):
            return
        spec = request["spec"]
        parsed = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
        usages = list(spec.get("usages") or ())
        changed = copy_of(request)
        problem = refusal(spec["signerName"], parsed, usages)
        if problem:
            now = timestamp(self.now())
            condition = {
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": problem,
                "lastUpdateTime": now,
            }
            changed["status"].setdefault("conditions", []).append(condition)
        else:
            seconds = validity_seconds(spec.get("expirationSeconds"))
            signed = self.authority.sign(parsed, seconds, tuple(usages))
            changed["status"]["certificate"] = base64.b64encode(signed.encode()).decode()
        await self.writes.update(self.requests, changed, "status")
