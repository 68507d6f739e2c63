"""Validation of metadata: names, labels, annotations, owners, finalizers, and what may not change.

Rules and texts: k8s.io/apimachinery, package api/validation; finalizers: k8s.io/kubernetes, pkg/apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.errors import Errors, FieldError, forbidden, invalid, required, too_long

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of keys and values together
IMMUTABLE = "field is immutable"
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_RBAC = "rbac.authorization.k8s.io"

# How the names of a kind are formed, where that is not a DNS subdomain.
NAME_FORMATS: dict[tuple[str, str], formats.Format] = {
    ("", "Namespace"): formats.dns_label,
    ("", "Service"): formats.dns_1035_label,
    ("", "Event"): formats.path_segment,
    ("events.k8s.io", "Event"): formats.path_segment,
    (_RBAC, "Role"): formats.path_segment,
    (_RBAC, "ClusterRole"): formats.path_segment,
    (_RBAC, "RoleBinding"): formats.path_segment,
    (_RBAC, "ClusterRoleBinding"): formats.path_segment,
    ("apps", "StatefulSet"): formats.dns_label,
    ("certificates.k8s.io", "CertificateSigningRequest"): formats.any_name,
    ("networking.k8s.io", "IPAddress"): formats.strict_ip,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): formats.path_segment,
    ("apiregistration.k8s.io", "APIService"): formats.path_segment,
}


def name_format(group: str, kind: str) -> formats.Format:
    """The format of a kind's names."""
    return NAME_FORMATS.get((group, kind), formats.dns_subdomain)


def generated_prefix(name: str) -> str:
    """A generateName as it is checked: a dash at its end is no fault, since letters will follow."""
    return f"{name[:-2]}a" if len(name) > 1 and name.endswith("-") else name


def labels(values: Mapping[str, str] | None, path: str) -> Errors:
    """Labels, as of an object or a selector."""
    found: Errors = []
    for key, value in (values or {}).items():
        found += [invalid(path, key, text) for text in formats.qualified_name(key)]
        found += [invalid(path, value, text) for text in formats.label_value(value or "")]
    return found


def annotation_values(values: Mapping[str, str] | None, path: str) -> Errors:
    """Annotations: keys like those of labels but in any case, and a limit for all of them together."""
    if not values:
        return []
    found: Errors = []
    size = 0
    for key, value in values.items():
        found += [invalid(path, key, text) for text in formats.qualified_name(key.lower())]
        size += len(key.encode()) + len((value or "").encode())
    if size > ANNOTATIONS_LIMIT:
        found.append(too_long(path, ANNOTATIONS_LIMIT))
    return found


def owner_references(references: list[Object] | None, path: str) -> Errors:
    """Each owner is named in full, and only one of them controls."""
    found: Errors = []
    controller = ""
    for reference in references or []:
        found += _owner_reference(reference, path)
        if not reference.get("controller"):
            continue
        name = f"{reference.get('kind', '')}/{reference.get('name', '')}"
        if controller:
            text = f'Only one reference can have Controller set to true. Found "true" in references for {controller} and {name}'
            found.append(invalid(path, [go_owner(each) for each in references or []], text))
        else:
            controller = name
    return found


def go_owner(reference: Object) -> Object:
    """An owner reference in the order of Go's fields, as error texts show it."""
    out = {key: reference.get(key) or "" for key in ("apiVersion", "kind", "name", "uid")}
    return out | {key: reference[key] for key in ("controller", "blockOwnerDeletion") if reference.get(key) is not None}


def _owner_reference(reference: Object, path: str) -> Errors:
    found: Errors = []
    group, _, version = (reference.get("apiVersion") or "").rpartition("/")
    if "/" in group:
        group = version = ""  # no group and version at all
    kind = reference.get("kind") or ""
    if not version:
        found.append(invalid(f"{path}.apiVersion", reference.get("apiVersion") or "", "version must not be empty"))
    found += [
        invalid(f"{path}.{key}", "", "must not be empty") for key in ("kind", "name", "uid") if not reference.get(key)
    ]
    if (group, version, kind) == ("", "v1", "Event"):
        found.append(invalid(path, go_owner(reference), "/v1, Kind=Event is disallowed from being an owner"))
    return found


def finalizers(values: list[str] | None, path: str) -> Errors:
    found: Errors = []
    for value in values or []:
        found += [invalid(path, value, text) for text in formats.qualified_name(value)]
    if values and "orphan" in values and "foregroundDeletion" in values:
        found.append(invalid(path, values, "finalizer orphan and foregroundDeletion cannot be both set"))
    return found


def standard_finalizers(values: list[str] | None, path: str) -> Errors:
    """What built-in kinds ask of finalizers besides: one without a domain must be a known one."""
    text = "name is neither a standard finalizer name nor is it fully qualified"
    return [
        invalid(f"{path}[{index}]", value, text)
        for index, value in enumerate(values or [])
        if "/" not in value and value not in _STANDARD_FINALIZERS
    ]


def _managed_fields(entries: list[Object] | None, path: str) -> Errors:
    found: Errors = []
    for index, entry in enumerate(entries or []):
        here = f"{path}[{index}]"
        if entry.get("operation") not in ("Apply", "Update"):
            found.append(invalid(f"{here}.operation", entry.get("operation") or "", "must be `Apply` or `Update`"))
        if entry.get("fieldsType") and entry["fieldsType"] != "FieldsV1":
            found.append(invalid(f"{here}.fieldsType", entry["fieldsType"], "must be `FieldsV1`"))
        found += field_manager(entry.get("manager") or "", f"{here}.manager")
        if len(entry.get("subresource") or "") > 256:
            found.append(too_long(f"{here}.subresource", 256))
    return found


def field_manager(name: str, path: str) -> Errors:
    """The name of a field manager."""
    found: Errors = []
    if len(name.encode()) > 128:
        found.append(too_long(path, 128))
    position = 0
    for letter in name:
        if not letter.isprintable():
            shown = f"U+{ord(letter):04X}"
            found.append(invalid(path, name, f"invalid character {shown} (at position {position})"))
        position += len(letter.encode())
    return found


def on_create(meta: Object, namespaced: bool, name: formats.Format, path: str = "metadata") -> Errors:
    """Metadata of an object to be created, name generated."""
    found: Errors = []
    prefix = meta.get("generateName") or ""
    if prefix:
        masked = prefix if name is formats.path_segment else generated_prefix(prefix)
        check = formats.path_segment_prefix if name is formats.path_segment else name
        found += [invalid(f"{path}.generateName", prefix, text) for text in check(masked)]
    own = meta.get("name") or ""
    if not own:
        found.append(required(f"{path}.name", "name or generateName is required"))
    else:
        found += [invalid(f"{path}.name", own, text) for text in name(own)]
    namespace = meta.get("namespace") or ""
    if not namespaced:
        if namespace:
            found.append(forbidden(f"{path}.namespace", "not allowed on this type"))
    elif not namespace:
        found.append(required(f"{path}.namespace"))
    else:
        found += [invalid(f"{path}.namespace", namespace, text) for text in formats.dns_label(namespace)]
    if (meta.get("generation") or 0) < 0:
        found.append(invalid(f"{path}.generation", meta["generation"], "must be greater than or equal to 0"))
    return found + _common(meta, path) + finalizers(meta.get("finalizers"), f"{path}.finalizers")


def _common(meta: Object, path: str) -> Errors:
    return (
        labels(meta.get("labels"), f"{path}.labels")
        + annotation_values(meta.get("annotations"), f"{path}.annotations")
        + owner_references(meta.get("ownerReferences"), f"{path}.ownerReferences")
        + _managed_fields(meta.get("managedFields"), f"{path}.managedFields")
    )


def on_update(new: Object, old: Object, path: str = "metadata") -> Errors:
    """Metadata of an object to be written over another."""
    found: Errors = []
    if old.get("deletionTimestamp"):
        extra = sorted(set(new.get("finalizers") or []) - set(old.get("finalizers") or []))
        if extra:
            listed = ", ".join(f'"{name}"' for name in extra)
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
            found.append(forbidden(f"{path}.finalizers", text))
    if not new.get("resourceVersion"):
        found.append(invalid(f"{path}.resourceVersion", "", "must be specified for an update"))
    if (new.get("generation") or 0) < (old.get("generation") or 0):
        found.append(invalid(f"{path}.generation", new.get("generation") or 0, "must not be decremented"))
    for key in ("name", "namespace", "uid"):
        found += unchanged(new.get(key) or "", old.get(key) or "", f"{path}.{key}")
    for key in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        found += unchanged(new.get(key), old.get(key), f"{path}.{key}")
    return found + _common(new, path)


def unchanged(new: Any, old: Any, path: str) -> list[FieldError]:
    """An error if a field that cannot change did."""
    return [] if new == old or (not new and not old and new != 0 and old != 0) else [invalid(path, new, IMMUTABLE)]
