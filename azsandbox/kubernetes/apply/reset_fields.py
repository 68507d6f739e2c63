"""Fields that a write cannot set, so that nobody owns them for it.

Source: GetResetFields of the strategies in pkg/registry, Kubernetes 1.35.
"""

from __future__ import annotations

from azsandbox.kubernetes.apply import field_sets
from azsandbox.kubernetes.apply.field_sets import EMPTY, FieldSet
from azsandbox.kubernetes.resources import Resource

_STATUS = field_sets.of(("f:status",))
_SPEC = field_sets.of(("f:spec",))
_SPEC_AND_METADATA = field_sets.of(("f:spec",), ("f:metadata",))

# resource → what a write to its status resets; a write to the object itself resets the status of each
_STATUS_WRITES: dict[str, FieldSet] = {
    "namespaces": _SPEC,
    "nodes": _SPEC,
    "persistentvolumes": _SPEC,
    "persistentvolumeclaims": _SPEC,
    "pods": field_sets.of(("f:spec",), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")),
    "replicationcontrollers": _SPEC,
    "resourcequotas": _SPEC,
    "services": _SPEC,
    "daemonsets.apps": _SPEC,
    "deployments.apps": field_sets.of(("f:spec",), ("f:metadata", "f:labels")),
    "replicasets.apps": _SPEC,
    "statefulsets.apps": _SPEC,
    "horizontalpodautoscalers.autoscaling": _SPEC,
    "cronjobs.batch": _SPEC,
    "jobs.batch": _SPEC,
    "ingresses.networking.k8s.io": _SPEC,
    "poddisruptionbudgets.policy": _SPEC,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _SPEC_AND_METADATA,
    "flowschemas.flowcontrol.apiserver.k8s.io": _SPEC_AND_METADATA,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": _SPEC_AND_METADATA,
    "resourceclaims.resource.k8s.io": _SPEC_AND_METADATA,
    "volumeattachments.storage.k8s.io": _SPEC_AND_METADATA,
    "customresourcedefinitions.apiextensions.k8s.io": _SPEC_AND_METADATA,
    "apiservices.apiregistration.k8s.io": _SPEC_AND_METADATA,
}
_CERTIFICATES = "certificatesigningrequests.certificates.k8s.io"
_CERTIFICATE_WRITES = {
    "": field_sets.of(("f:spec",), ("f:status",)),
    "status": field_sets.of(("f:spec",), ("f:status", "f:conditions")),
    "approval": field_sets.of(("f:spec",), ("f:status", "f:certificate")),
}


def reset_fields(resource: Resource, subresource: str) -> FieldSet:
    """The fields that a write to a resource, or to its sub-resource, cannot set."""
    if resource.custom:
        if resource.subresource("status") is None:
            return EMPTY
        return {"": _STATUS, "status": _SPEC}.get(subresource, EMPTY)
    if resource.qualified == _CERTIFICATES:
        return _CERTIFICATE_WRITES.get(subresource, EMPTY)
    found = _STATUS_WRITES.get(resource.qualified)
    if found is None:
        return EMPTY
    if subresource == "status":
        return found
    return EMPTY if subresource else _STATUS
