"""Validation of volumes, claims and storage classes."""

from __future__ import annotations

import posixpath

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import formats, metadata, volume_sources, volumes
from azsandbox.kubernetes.validation.common import (
    NOT_POSITIVE,
    formatted,
    label_selector,
    named,
    no_backsteps,
    supported,
    unchanged,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    forbidden,
    invalid,
    not_supported,
    required,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.resource_names import is_native
from azsandbox.kubernetes.validation.scheduling import node_selector

_GROUP = "storage.k8s.io"
_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_RECLAIM = ("Delete", "Recycle", "Retain")
_CLASS_BETA = "volume.beta.kubernetes.io/storage-class"
_NOT_SOURCES = frozenset(
    {
        "capacity",
        "accessModes",
        "claimRef",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "volumeMode",
        "nodeAffinity",
        "volumeAttributesClassName",
    }
)


def _access_modes(modes: list[str], path: str) -> Errors:
    found = [not_supported(path, mode, _MODES) for mode in modes if mode not in _MODES]
    if "ReadWriteOncePod" in modes and any(mode in _MODES[:3] for mode in modes):
        found.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return found


def claim_spec(spec: Object, path: str) -> Errors:
    """A claim's spec, in a claim or in a template of one."""
    modes = spec.get("accessModes") or []
    found = [] if modes else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    found += label_selector(spec.get("selector"), f"{path}.selector")
    found += _access_modes(modes, f"{path}.accessModes")
    here = f"{path}.resources[storage]"
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        found.append(required(here))
    elif Quantity.parse(storage) <= Quantity.ZERO:
        found.append(invalid(here, str(Quantity.parse(storage)), NOT_POSITIVE))
    if spec.get("storageClassName"):
        found += formatted(spec["storageClassName"], f"{path}.storageClassName", formats.dns_subdomain)
    if spec.get("volumeMode") is not None:
        found += supported(spec["volumeMode"], f"{path}.volumeMode", _VOLUME_MODES)
    for key in ("dataSource", "dataSourceRef"):
        if spec.get(key) is not None:
            found += _data_source(spec[key], f"{path}.{key}")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if reference and reference.get("namespace") and source:
        text = "may not be specified when dataSourceRef.namespace is specified"
        found.append(invalid(path, {}, text))  # Go prints a field's path so
    elif source and reference and any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
        found.append(invalid(path, {}, "must match dataSourceRef"))
    if spec.get("volumeAttributesClassName"):
        where = f"{path}.volumeAttributesClassName"
        found += formatted(spec["volumeAttributesClassName"], where, formats.dns_subdomain)
    return found


def _data_source(source: Object, path: str) -> Errors:
    found = [required(f"{path}.{key}") for key in ("name", "kind") if not source.get(key)]
    group = source.get("apiGroup") or ""
    if not group and source.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        found.append(invalid(path, source.get("kind") or "", text))
    if group:
        found += formatted(group, f"{path}.apiGroup", formats.dns_subdomain)
    if source.get("namespace"):
        found += formatted(source["namespace"], f"{path}.namespace", formats.dns_label)
    return found


@on_create("", "PersistentVolumeClaim")
def claim(obj: Object) -> Errors:
    return claim_spec(obj.get("spec") or {}, "spec")


@on_update("", "PersistentVolumeClaim")
def claim_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = claim(new)
    after, past = dict(spec), dict(before)
    if not past.get("volumeName"):
        past["volumeName"] = after.get("volumeName")
    annotations = (new["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {})
    if past.get("storageClassName") is None and after.get("storageClassName") is not None:
        beta = annotations[1].get(_CLASS_BETA)
        if beta is None or beta == after["storageClassName"]:
            after["storageClassName"] = None
    elif annotations[0].get(_CLASS_BETA) != annotations[1].get(_CLASS_BETA):
        where = f"metadata.annotations[{_CLASS_BETA}]"
        found.append(invalid(where, annotations[0].get(_CLASS_BETA) or "", metadata.IMMUTABLE))
    status = new.get("status") or {}
    if status.get("phase") == "Bound":
        resources = dict(after.get("resources") or {})
        if resources.get("requests") is not None:
            size = ((past.get("resources") or {}).get("requests") or {}).get("storage")
            resources["requests"] = {**resources["requests"], "storage": size}
        after["resources"] = resources
        after["volumeAttributesClassName"] = past.get("volumeAttributesClassName")
    if not same(after, past):
        change = internal.difference(past, after, "core.PersistentVolumeClaimSpec")
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        found.append(forbidden("spec", f"{text}\n{change}"))
    found += _smaller(spec, before, (old.get("status") or {}).get("capacity") or {})
    found += unchanged(spec.get("volumeMode"), before.get("volumeMode"), "volumeMode")
    return found


def _smaller(spec: Object, before: Object, capacity: Object) -> Errors:
    new, old = (
        Quantity.parse(((each.get("resources") or {}).get("requests") or {}).get("storage") or 0)
        for each in (spec, before)
    )
    if new >= old or new > Quantity.parse(capacity.get("storage") or 0):
        return []
    return [forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")]


@on_update("", "PersistentVolumeClaim", subresource="status")
def claim_status(new: Object, old: Object) -> Errors:
    found: Errors = []
    status = new.get("status") or {}
    for name, text in (status.get("capacity") or {}).items():
        value = Quantity.parse(text)
        if value < Quantity.ZERO:
            found.append(invalid(f"status.capacity[{name}]", value.value, "must be a valid resource quantity"))
    path = "status.allocatedResources"
    for name in status.get("allocatedResources") or {}:
        if is_native(name) and name != "storage":
            found.append(not_supported(path, name, ("storage",)))
    return found


@on_create("", "PersistentVolume")
def volume(obj: Object) -> Errors:
    return persistent_volume_spec(obj.get("spec") or {}, "spec")


def persistent_volume_spec(spec: Object, path: str, inline: bool = False) -> Errors:
    """A volume's spec; `inline`: within a VolumeAttachment."""
    modes = spec.get("accessModes") or []
    found = _inline(spec, path) if inline else []
    found += [] if modes else [required(f"{path}.accessModes")]
    found += _access_modes(modes, f"{path}.accessModes")
    found += [] if inline else _capacity(spec.get("capacity") or {}, f"{path}.capacity")
    policy, where = spec.get("persistentVolumeReclaimPolicy"), f"{path}.persistentVolumeReclaimPolicy"
    if policy and inline and policy != "Retain":
        found.append(forbidden(where, "may only be Retain in the context of inline volumes"))
    elif policy and not inline:
        found += supported(policy, where, _RECLAIM)
    affinity, where = spec.get("nodeAffinity"), f"{path}.nodeAffinity"
    if affinity is not None:
        if inline:
            found.append(forbidden(where, _NOT_INLINE))
        elif affinity.get("required") is None:
            found.append(required(f"{where}.required", "must specify required node constraints"))
        else:
            found += node_selector(affinity["required"], f"{where}.required")
    return found + _volume_source(spec, path) + _volume_rest(spec, path, inline)


_NOT_INLINE = "may not be specified in the context of inline volumes"


def _inline(spec: Object, path: str) -> Errors:
    found: Errors = []
    if spec.get("claimRef") is not None:
        found.append(forbidden(f"{path}.claimRef", _NOT_INLINE))
    if spec.get("capacity"):
        found.append(forbidden(f"{path}.capacity", _NOT_INLINE))
    if spec.get("csi") is None:
        found.append(required(f"{path}.csi", "has to be specified in the context of inline volumes"))
    return found


def _capacity(capacity: Object, path: str) -> Errors:
    found = [] if capacity else [required(path)]
    if "storage" not in capacity or len(capacity) > 1:
        found.append(not_supported(path, capacity or None, ("storage",)))
    for name, text in capacity.items():
        value = Quantity.parse(text)
        if value < Quantity.ZERO:
            found.append(invalid(f"{path}[{name}]", value.value, "must be a valid resource quantity"))
        if value <= Quantity.ZERO:
            found.append(invalid(f"{path}[{name}]", str(value), NOT_POSITIVE))
    return found


# in the order in which Kubernetes looks for them
_ORDER = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
]


def _volume_source(spec: Object, path: str) -> Errors:
    found: Errors = []
    count = 0
    own = {"hostPath": volumes.host_path, "local": _local, "csi": _csi}
    for key in _ORDER:
        if spec.get(key) is None:
            continue
        if count and key != "flexVolume":
            name = "cephFS" if key == "cephfs" else key
            found.append(forbidden(f"{path}.{name}", "may not specify more than 1 volume type"))
            continue
        count += 1
        check = own.get(key) or volume_sources.OF_PERSISTENT_VOLUMES[key]
        found += check(spec[key], f"{path}.{volume_sources.PATHS.get(key, key)}")
        if key == "local" and spec.get("nodeAffinity") is None:
            found.append(required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    return found if count else [required(path, "must specify a volume type")]


def _local(source: Object, path: str) -> Errors:
    if not source.get("path"):
        return [required(f"{path}.path")]
    return no_backsteps(source["path"], f"{path}.path")


def _csi(source: Object, path: str) -> Errors:
    found = volumes.csi_driver_name(source.get("driver") or "", f"{path}.driver")
    if not source.get("volumeHandle"):
        found.append(required(f"{path}.volumeHandle"))
    for part in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        secret = source.get(f"{part}SecretRef")
        if secret is not None:
            here = f"{path}.{part}SecretRef"
            found += named(secret.get("name"), f"{here}.name", formats.dns_subdomain)
            found += named(secret.get("namespace"), f"{here}.namespace", formats.dns_label)
    return found


def _volume_rest(spec: Object, path: str, inline: bool) -> Errors:
    found: Errors = []
    host = spec.get("hostPath")
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if host is not None and recycled and posixpath.normpath(host.get("path") or "") == "/":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(forbidden(f"{path}.persistentVolumeReclaimPolicy", text))
    name = spec.get("storageClassName")
    if name:
        where = f"{path}.storageClassName"
        found += [forbidden(where, _NOT_INLINE)] if inline else formatted(name, where, formats.dns_subdomain)
    mode = spec.get("volumeMode")
    if mode is not None:
        where = f"{path}.volumeMode"
        if inline and mode != "Filesystem":
            found.append(
                forbidden(where, "may not specify volumeMode other than Filesystem in the context of inline volumes")
            )
        elif not inline:
            found += supported(mode, where, _VOLUME_MODES)
    name = spec.get("volumeAttributesClassName")
    if name is not None:
        where = f"{path}.volumeAttributesClassName"
        found += named(name, where, formats.dns_subdomain, "an empty string is disallowed")
        if spec.get("csi") is None:
            found.append(required(f"{path}.csi", "has to be specified when using volumeAttributesClassName"))
    return found


@on_update("", "PersistentVolume")
def volume_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = volume(new)
    one, other = ({k: v for k, v in each.items() if k not in _NOT_SOURCES} for each in (spec, before))
    if not same(one, other):
        change = internal.difference(other, one, "core.PersistentVolumeSource")
        text = f"spec.persistentvolumesource is immutable after creation\n{change}"
        found.append(forbidden("spec.persistentvolumesource", text))
    found += unchanged(spec.get("volumeMode"), before.get("volumeMode"), "volumeMode")
    if before.get("nodeAffinity") is not None and not same(spec.get("nodeAffinity"), before["nodeAffinity"]):
        shown = (
            internal.shown(spec.get("nodeAffinity"), "core.VolumeNodeAffinity") if spec.get("nodeAffinity") else None
        )
        text = f"{metadata.IMMUTABLE}, except for updating from beta label to GA"
        found.append(invalid("nodeAffinity", shown, text))
    return found
