"""Validation of built-in kinds: what may be created, and what an update may change.

Rules and texts: k8s.io/kubernetes, pkg/apis/*/validation. A module of this package is about one group, or about
a part of the core group, and enters its functions in `registry`.
"""

from __future__ import annotations

from importlib import import_module

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation import formats, metadata, metadata_parts, registry
from azsandbox.kubernetes.validation.errors import Errors, FieldError

_MODULES = (
    "pods",
    "pod_changes",
    "services",
    "endpoints",
    "service_addresses",
    "storage",
    "storage_classes",
    "configuration",
    "workloads",
    "jobs",
    "autoscaling",
    "policies",
    "certificates",
    "admission_policies",
    "api_services",
    "webhook_configurations",
    "custom_resource_definitions",
    "events",
    "flow_control",
)
for _name in _MODULES:
    import_module(f"{__name__}.{_name}")

__all__ = ["Errors", "FieldError", "create", "update"]


def create(resource: Resource, obj: Object) -> Errors:
    """What keeps `obj` from being created; [] if nothing does."""
    meta = obj.get("metadata") or {}
    rule = registry.CREATE.get((resource.group, resource.kind))
    if rule in registry.METADATA_TOO:
        assert rule is not None
        return rule(obj) or metadata.on_create(meta, resource.namespaced, _ANY_NAME)
    name = metadata.name_format(resource.group, resource.kind)
    found = metadata.on_create(meta, resource.namespaced, name)
    if _knows_finalizers(resource):
        found += metadata.standard_finalizers(meta.get("finalizers"), "metadata.finalizers")
    found += rule(obj) if rule else []
    if not found and name is formats.any_name:
        found = metadata.on_create(meta, resource.namespaced, _ANY_NAME)
    return found


# kinds whose metadata is judged by the rules of every API, not by those of the core group
_PLAIN_METADATA = frozenset({("coordination.k8s.io", "Lease"), ("node.k8s.io", "RuntimeClass")})
_PLAIN_GROUPS = frozenset({"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"})


def _knows_finalizers(resource: Resource) -> bool:
    """Whether finalizers without a domain must be known ones."""
    plain = resource.group in _PLAIN_GROUPS or (resource.group, resource.kind) in _PLAIN_METADATA
    return not resource.custom and not plain


_ANY_NAME = formats.path_segment  # every name that may stand in a path


def _create_metadata(resource: Resource, meta: Object) -> Errors:
    return metadata.on_create(meta, resource.namespaced, metadata.name_format(resource.group, resource.kind))


def update(resource: Resource, new: Object, old: Object, subresource: str = "") -> Errors:
    """What keeps `new` from taking the place of `old`; [] if nothing does."""
    meta, before = new.get("metadata") or {}, old.get("metadata") or {}
    rule = registry.UPDATE.get((resource.group, resource.kind, subresource))
    found = metadata.on_create(meta, resource.namespaced, _ANY_NAME) + metadata.on_update(meta, before)
    if not resource.custom and rule not in registry.METADATA_TOO:
        for part in metadata_parts.parts(resource.group, resource.kind, subresource):
            found += _create_metadata(resource, meta) if part == "create" else metadata.on_update(meta, before)
            if _knows_finalizers(resource):
                found += metadata.standard_finalizers(meta.get("finalizers"), "metadata.finalizers")
    return found + rule(new, old) if rule else found
