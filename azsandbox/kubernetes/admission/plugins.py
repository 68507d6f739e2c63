"""The admission controllers that are on by default, in their order."""

from __future__ import annotations

from azsandbox.kubernetes.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.admission.limit_ranger import LimitRanger
from azsandbox.kubernetes.admission.namespace_lifecycle import NamespaceLifecycle
from azsandbox.kubernetes.admission.pod_defaults import (
    DefaultTolerationSeconds,
    Priority,
    RuntimeClass,
    TaintNodesByCondition,
)
from azsandbox.kubernetes.admission.pod_security import PodSecurity
from azsandbox.kubernetes.admission.resource_quota import ResourceQuota
from azsandbox.kubernetes.admission.service_account import ServiceAccount
from azsandbox.kubernetes.admission.storage import (
    DefaultIngressClass,
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from azsandbox.kubernetes.admission.validating_policy import ValidatingAdmissionPolicy
from azsandbox.kubernetes.admission.webhooks import MutatingWebhooks, ValidatingWebhooks

PLUGINS: tuple[type[Plugin], ...] = (
    NamespaceLifecycle,
    LimitRanger,
    ServiceAccount,
    TaintNodesByCondition,
    PodSecurity,
    Priority,
    DefaultTolerationSeconds,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    MutatingWebhooks,
    ValidatingAdmissionPolicy,
    ValidatingWebhooks,
    ResourceQuota,
)
