"""Admission controllers of certificate signing requests."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.x509.oid import NameOID

from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin

_GROUP = "certificates.k8s.io"
_KIND = "CertificateSigningRequest"


class _SignerPermission(Plugin):
    """The caller must be allowed `verb` on the signer, or on its domain."""

    verb = ""

    def check(self, attrs: Attributes) -> None:
        from azsandbox.kubernetes.authz import Question
        from azsandbox.kubernetes.errors import StatusError

        signer = (((attrs.old or attrs.obj) or {}).get("spec") or {}).get("signerName") or ""
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            question = Question(attrs.user, self.verb, _GROUP, "*", "signers", "", "", name)
            try:
                self.server.authorization.check(question)
                return
            except StatusError:
                continue
        raise attrs.forbidden(f'user not permitted to {self.verb} requests with signerName "{signer}"')


class CertificateApproval(_SignerPermission):
    """Approving takes permission for the signer."""

    verb = "approve"

    async def validate(self, attrs: Attributes) -> None:
        if attrs.of(_GROUP, _KIND) and attrs.subresource == "approval" and attrs.operation == UPDATE:
            self.check(attrs)


class CertificateSigning(_SignerPermission):
    """Writing a certificate takes permission for the signer."""

    verb = "sign"

    async def validate(self, attrs: Attributes) -> None:
        if not attrs.of(_GROUP, _KIND) or attrs.subresource != "status" or attrs.operation != UPDATE:
            return
        new, old = (attrs.obj or {}).get("status") or {}, (attrs.old or {}).get("status") or {}
        if new.get("certificate") == old.get("certificate") and _failed(new) == _failed(old):
            return
        self.check(attrs)


def _failed(status: dict[str, object]) -> bool:
    conditions = status.get("conditions")
    return isinstance(conditions, list) and any(item.get("type") == "Failed" for item in conditions)


class CertificateSubjectRestriction(Plugin):
    """Nobody becomes a cluster administrator by a client certificate."""

    async def validate(self, attrs: Attributes) -> None:
        if not attrs.of(_GROUP, _KIND) or attrs.subresource or attrs.operation != CREATE or attrs.obj is None:
            return
        spec = attrs.obj.get("spec") or {}
        if spec.get("signerName") != "kubernetes.io/kube-apiserver-client":
            return
        try:
            request = x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or ""))
        except ValueError:
            return  # validation says what is wrong with it
        organizations = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if any(item.value == "system:masters" for item in organizations):
            raise attrs.forbidden(
                "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
            )
