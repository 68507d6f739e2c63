"""CertificateSigningRequests: approves what a kubelet may ask for, and clears old ones away.

Source of the rules: Kubernetes 1.35, pkg/controller/certificates, approver and cleaner.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import copy_of, is_true, time_of

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
_USAGES = ({"key encipherment", "digital signature", "client auth"}, {"digital signature", "client auth"})
_HOUR = 3600
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def is_approved(request: Object) -> bool:
    return is_true(request.get("status") or {}, "Approved")


def is_denied(request: Object) -> bool:
    return is_true(request.get("status") or {}, "Denied")


def is_kubelet_client(request: Object, parsed: x509.CertificateSigningRequest) -> bool:
    """Whether it asks for a node's client certificate, and for nothing else."""
    subject = parsed.subject
    organizations = [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if organizations != ["system:nodes"] or not names or not str(names[0].value).startswith("system:node:"):
        return False
    try:
        parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set(request["spec"].get("usages") or ()) in _USAGES
    return False


class CSRApprovingController(Controller):
    """Approves client certificates of kubelets that may have them."""

    name = "certificate-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.requests = self.follow(informers.of("certificates.k8s.io/v1", "certificatesigningrequests"))

    async def reconcile(self, key: str) -> None:
        request = self.requests.get(key)
        if request is None or is_approved(request) or is_denied(request):
            return
        if (request.get("status") or {}).get("certificate") or request["spec"]["signerName"] != KUBELET_CLIENT:
            return
        try:
            parsed = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        except ValueError:
            return
        if not is_kubelet_client(request, parsed):
            return
        common_name = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        tries = [("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")]
        if request["spec"].get("username") == common_name:
            message = "Auto approving self kubelet client certificate after SubjectAccessReview."
            tries.insert(0, ("selfnodeclient", message))
        for subresource, message in tries:
            if await self._may(request, subresource):
                await self._approve(request, message)
                return

    async def _may(self, request: Object, subresource: str) -> bool:
        """Whether the one who asks may have such a certificate."""
        spec = request["spec"]
        review: Object = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.get("username", ""),
                "uid": spec.get("uid", ""),
                "groups": spec.get("groups") or [],
                "extra": spec.get("extra") or {},
                "resourceAttributes": {
                    "group": "certificates.k8s.io",
                    "resource": "certificatesigningrequests",
                    "verb": "create",
                    "subresource": subresource,
                    "version": "*",
                },
            },
        }
        answer = await self.client.create(_REVIEWS, review)
        return bool(answer["status"].get("allowed"))

    async def _approve(self, request: Object, message: str) -> None:
        changed = copy_of(request)
        now = timestamp(self.now())
        condition = {
            "type": "Approved",
            "status": "True",
            "reason": "AutoApproved",
            "message": message,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }
        changed.setdefault("status", {}).setdefault("conditions", []).append(condition)
        await self.writes.update(self.requests, changed, "approval")


class CSRCleanerController(Controller):
    """Deletes requests that are over: answered an hour ago, or unanswered for a day."""

    name = "certificate-cleaner-controller"
    account = "certificate-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.requests = self.follow(informers.of("certificates.k8s.io/v1", "certificatesigningrequests"))

    async def reconcile(self, key: str) -> None:
        request = self.requests.get(key)
        if request is None:
            return
        left = (_due(request) - self.now()).total_seconds()
        if left > 0:
            self.queue.add_after(key, left)
        else:
            await self.writes.delete(self.requests, request)


def _due(request: Object) -> dt.datetime:
    """When a request may go."""
    conditions = (request.get("status") or {}).get("conditions") or []
    created = time_of(request["metadata"]["creationTimestamp"])
    answered = [time_of(c.get("lastUpdateTime")) for c in conditions]
    known = [time for time in answered if time is not None]
    start = min(known) if known else created
    assert start is not None
    return start + dt.timedelta(seconds=_HOUR if conditions else 24 * _HOUR)
