"""Validation of built-in kinds: what may be created, and what an update may change.

Rules and texts: k8s.io/kubernetes, pkg/apis/*/validation. A module of this package is about one group, or about
a part of the core group, and enters its functions in `registry`.
"""

from __future__ import annotations

from importlib import import_module

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation import metadata, registry
from azsandbox.kubernetes.validation.errors import Errors, FieldError

_MODULES = (
    "pods",
    "pod_changes",
    "services",
    "storage",
    "configuration",
    "workloads",
    "jobs",
    "autoscaling",
    "policies",
    "certificates",
    "admission",
    "events",
)
for _name in _MODULES:
    import_module(f"{__name__}.{_name}")

__all__ = ["Errors", "FieldError", "create", "update"]


def create(resource: Resource, obj: Object) -> Errors:
    """What keeps `obj` from being created; [] if nothing does."""
    name = metadata.name_format(resource.group, resource.kind)
    meta = obj.get("metadata") or {}
    found = metadata.on_create(meta, resource.namespaced, name)
    if not resource.custom:
        found += metadata.standard_finalizers(meta.get("finalizers"), "metadata.finalizers")
    rule = registry.CREATE.get((resource.group, resource.kind))
    return found + rule(obj) if rule else found


# Kinds whose update is validated like a create besides, metadata included: its faults come once more.
_CREATED_ANEW = frozenset(
    {
        ("", "ConfigMap"),
        ("", "Secret"),
        ("", "Pod"),
        ("", "PersistentVolumeClaim"),
        ("", "Endpoints"),
        ("networking.k8s.io", "Ingress"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("apps", "ControllerRevision"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    }
)


def _create_metadata(resource: Resource, meta: Object) -> Errors:
    found = metadata.on_create(meta, resource.namespaced, metadata.name_format(resource.group, resource.kind))
    return found + metadata.standard_finalizers(meta.get("finalizers"), "metadata.finalizers")


def update(resource: Resource, new: Object, old: Object, subresource: str = "") -> Errors:
    """What keeps `new` from taking the place of `old`; [] if nothing does."""
    meta, before = new.get("metadata") or {}, old.get("metadata") or {}
    name = metadata.name_format("rbac.authorization.k8s.io", "Role")  # every name passes here that may stand in a path
    found = metadata.on_create(meta, resource.namespaced, name) + metadata.on_update(meta, before)
    if not resource.custom:
        found += metadata.on_update(meta, before)  # the kind's own validation asks once more, so causes come twice
        found += metadata.standard_finalizers(meta.get("finalizers"), "metadata.finalizers")
        if (resource.group, resource.kind) in _CREATED_ANEW and not subresource:
            found += _create_metadata(resource, meta)
    rule = registry.UPDATE.get((resource.group, resource.kind, subresource))
    return found + rule(new, old) if rule else found
