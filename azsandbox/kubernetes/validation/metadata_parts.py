"""What a kind's own validation of an update asks of metadata, after what every update is asked.

Its faults come once more as causes then. Source: the ValidateUpdate of pkg/registry/*/*/strategy.go, and what they call.
"""

from __future__ import annotations

from typing import Literal

Part = Literal["create", "update"]
Parts = tuple[Part, ...]

_UPDATE: Parts = ("update",)
_CREATE: Parts = ("create",)
_BOTH: Parts = ("create", "update")
_BOTH_BACK: Parts = ("update", "create")

_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
_STORAGE, _RESOURCE, _FLOW = "storage.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io"

_PARTS: dict[tuple[str, str, str], Parts] = {
    ("", "ConfigMap", ""): _BOTH_BACK,
    ("", "Endpoints", ""): _BOTH_BACK,
    ("", "LimitRange", ""): _CREATE,
    ("", "Namespace", ""): _BOTH,
    ("", "Node", ""): _BOTH,
    ("", "PersistentVolume", ""): ("create", "create"),
    ("", "PersistentVolumeClaim", ""): _BOTH_BACK,
    ("", "Pod", ""): _BOTH_BACK,
    ("", "Pod", "ephemeralcontainers"): _BOTH_BACK,
    ("", "Pod", "resize"): _BOTH_BACK,
    ("", "Secret", ""): _BOTH_BACK,
    ("", "ServiceAccount", ""): _BOTH_BACK,
    ("apps", "ControllerRevision", ""): _BOTH_BACK,
    ("apps", "StatefulSet", ""): _BOTH,
    ("batch", "Job", ""): _BOTH,
    ("batch", "CronJob", "status"): (),
    ("certificates.k8s.io", "CertificateSigningRequest", ""): _BOTH,
    ("certificates.k8s.io", "CertificateSigningRequest", "status"): _BOTH,
    ("certificates.k8s.io", "CertificateSigningRequest", "approval"): _BOTH,
    ("discovery.k8s.io", "EndpointSlice", ""): _CREATE,
    ("networking.k8s.io", "Ingress", ""): _BOTH_BACK,
    ("networking.k8s.io", "IngressClass", ""): _BOTH_BACK,
    ("networking.k8s.io", "IPAddress", ""): _BOTH,
    ("networking.k8s.io", "NetworkPolicy", ""): _BOTH,
    ("node.k8s.io", "RuntimeClass", ""): _BOTH,
    ("policy", "PodDisruptionBudget", ""): (),
    ("policy", "PodDisruptionBudget", "status"): (),
    (_ADMISSION, "MutatingWebhookConfiguration", ""): _CREATE,
    (_ADMISSION, "ValidatingWebhookConfiguration", ""): _CREATE,
    (_ADMISSION, "ValidatingAdmissionPolicy", ""): _CREATE,
    (_ADMISSION, "ValidatingAdmissionPolicy", "status"): (),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding", ""): _CREATE,
    (_FLOW, "FlowSchema", ""): _CREATE,
    (_FLOW, "FlowSchema", "status"): (),
    (_FLOW, "PriorityLevelConfiguration", ""): _CREATE,
    (_FLOW, "PriorityLevelConfiguration", "status"): (),
    (_RBAC, "Role", ""): _BOTH,
    (_RBAC, "ClusterRole", ""): _BOTH,
    (_RBAC, "RoleBinding", ""): _BOTH,
    (_RBAC, "ClusterRoleBinding", ""): _BOTH,
    (_RESOURCE, "DeviceClass", ""): _BOTH,
    (_RESOURCE, "ResourceClaim", ""): _BOTH,
    (_RESOURCE, "ResourceClaimTemplate", ""): _BOTH,
    (_STORAGE, "CSINode", ""): ("create", "create"),
    (_STORAGE, "CSIStorageCapacity", ""): _BOTH,
    (_STORAGE, "StorageClass", ""): _BOTH,
    (_STORAGE, "VolumeAttachment", ""): _CREATE,
    (_STORAGE, "VolumeAttachment", "status"): _CREATE,
    (_STORAGE, "VolumeAttributesClass", ""): _BOTH_BACK,
}


def parts(group: str, kind: str, subresource: str) -> Parts:
    """In which ways, in this order, a kind judges metadata of an update."""
    return _PARTS.get((group, kind, subresource), _UPDATE)
