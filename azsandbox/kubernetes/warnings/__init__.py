"""Warnings of a write: the object is taken as it is, but its writer should know.

Texts: k8s.io/kubernetes, pkg/api/*/warnings.go and pkg/registry/*/*/strategy.go.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.warnings.kinds import SPECIAL, of_job_spec, of_status
from azsandbox.kubernetes.warnings.pods import of_pod

# Built-in resources that are on their way out: every request to them is answered with this.
DEPRECATED_RESOURCES = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}

_TEMPLATES = {
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("", "ReplicationController"): ("spec", "template"),
    ("", "PodTemplate"): ("template",),
}
_NAMES_PODS = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("", "ReplicationController"),
    }
)
_SURPRISES = "which can result in surprising behavior; a DNS label is recommended"
_DUPLICATE_OWNERS = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject "
    "such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
)


def of_write(resource: Resource, new: Object, old: Object | None = None, subresource: str = "") -> list[str]:
    """Warnings of a create, or of an update of `old`, or of a part of it."""
    if resource.custom:
        return []
    key = (resource.group, resource.kind)
    if subresource:
        return of_status(*key, new) if subresource == "status" else []
    found: list[str] = []
    if old is None and key in _NAMES_PODS:
        found += _name(new, "Pod names and hostnames")
    if key == ("", "Pod"):
        found += [*_name(new, "the Pod's hostname"), *of_pod(new, "")] if old is None else []
    elif key in _TEMPLATES:
        found += _of_template(key, new, old)
    special = SPECIAL.get(key)
    return found + (special(new, old) if special else [])


def _of_template(key: tuple[str, str], new: Object, old: Object | None) -> list[str]:
    """Warnings of a template of pods, and of a Job's spec around it."""
    if old is not None and _generation(new) == _generation(old):
        return []
    path = _TEMPLATES[key]
    # of a changed ReplicationController the old template is judged, by a slip of Kubernetes
    holder: Any = old if old is not None and key[1] == "ReplicationController" else new
    for part in path[:-1]:
        holder = (holder or {}).get(part)
    template = (holder or {}).get("template")
    found = of_job_spec(holder or {}, ".".join(path[:-1])) if key[0] == "batch" else []
    return found + (of_pod(template, ".".join(path)) if template else [])


def _generation(obj: Object) -> Any:
    return (obj.get("metadata") or {}).get("generation")


def deduplicate_owners(obj: Object) -> list[str]:
    """Drops owner references that come twice, in place; returns the warning of it."""
    meta = obj.get("metadata") or {}
    references = meta.get("ownerReferences") or []
    unique = [item for index, item in enumerate(references) if item not in references[:index]]
    if len(unique) == len(references):
        return []
    twice = [item.get("uid") or "" for index, item in enumerate(references) if item in references[:index]]
    meta["ownerReferences"] = unique
    return [_DUPLICATE_OWNERS + ", ".join(twice)]


def _name(obj: Object, used_in: str) -> list[str]:
    faults = formats.dns_label((obj.get("metadata") or {}).get("name") or "")
    return [f"metadata.name: this is used in {used_in}, {_SURPRISES}: [{' '.join(faults)}]"] if faults else []
