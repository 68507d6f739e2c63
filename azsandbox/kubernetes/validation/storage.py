"""Validation of volumes, claims and storage classes."""

from __future__ import annotations

import posixpath
from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import formats, internal, metadata, volumes
from azsandbox.kubernetes.validation.common import (
    NOT_POSITIVE,
    formatted,
    label_selector,
    named,
    no_backsteps,
    one_of,
    supported,
    unchanged,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
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
        found.append(invalid(path, f"{path}.dataSource", text))
    elif source and reference and any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
        found.append(invalid(path, f"{path}.dataSource", "must match dataSourceRef"))
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


_VOLUME_CHECKS: dict[str, volumes.Check] = {
    "hostPath": volumes.host_path,
    "gcePersistentDisk": volumes.requires("pdName"),
    "awsElasticBlockStore": volumes.requires("volumeID"),
    "glusterfs": volumes.requires("endpoints", "path"),
    "flocker": volumes.requires(),
    "nfs": volumes.nfs,
    "rbd": volumes.requires("monitors", "image"),
    "quobyte": volumes.requires("registry", "volume"),
    "cephfs": volumes.requires("monitors"),
    "iscsi": volumes.requires("targetPortal", "iqn"),
    "cinder": volumes.requires("volumeID"),
    "fc": volumes.requires(),
    "flexVolume": volumes.requires("driver"),
    "azureFile": volumes.azure_file,
    "vsphereVolume": volumes.requires("volumePath"),
    "photonPersistentDisk": volumes.requires("pdID"),
    "portworxVolume": volumes.requires("volumeID"),
    "azureDisk": volumes.azure_disk,
    "scaleIO": volumes.requires("gateway", "system", "volumeName"),
}


@on_create("", "PersistentVolume")
def volume(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    modes, capacity = spec.get("accessModes") or [], spec.get("capacity") or {}
    found = [] if modes else [required("spec.accessModes")]
    found += _access_modes(modes, "spec.accessModes")
    if not capacity:
        found.append(required("spec.capacity"))
    if "storage" not in capacity or len(capacity) > 1:
        found.append(not_supported("spec.capacity", capacity or None, ("storage",)))
    for name, text in capacity.items():
        value = Quantity.parse(text)
        if value < Quantity.ZERO:
            found.append(invalid(f"spec.capacity[{name}]", value.value, "must be a valid resource quantity"))
        if value <= Quantity.ZERO:
            found.append(invalid(f"spec.capacity[{name}]", str(value), NOT_POSITIVE))
    if spec.get("persistentVolumeReclaimPolicy"):
        found += supported(spec["persistentVolumeReclaimPolicy"], "spec.persistentVolumeReclaimPolicy", _RECLAIM)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            found.append(required("spec.nodeAffinity.required", "must specify required node constraints"))
        else:
            found += node_selector(affinity["required"], "spec.nodeAffinity.required")
    return found + _volume_source(spec) + _volume_rest(spec)


def _volume_source(spec: Object) -> Errors:
    found: Errors = []
    count = 0
    checks = {**_VOLUME_CHECKS, "local": _local, "storageos": volumes.requires("volumeName"), "csi": _csi}
    for key, check in checks.items():
        if spec.get(key) is None:
            continue
        if count:
            found.append(forbidden(f"spec.{key}", "may not specify more than 1 volume type"))
            continue
        count += 1
        found += check(spec[key], f"spec.{key}")
        if key == "local" and spec.get("nodeAffinity") is None:
            found.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    return found if count else [required("spec", "must specify a volume type")]


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


def _volume_rest(spec: Object) -> Errors:
    found: Errors = []
    host = spec.get("hostPath")
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if host is not None and recycled and posixpath.normpath(host.get("path") or "") == "/":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(forbidden("spec.persistentVolumeReclaimPolicy", text))
    if spec.get("storageClassName"):
        found += formatted(spec["storageClassName"], "spec.storageClassName", formats.dns_subdomain)
    if spec.get("volumeMode") is not None:
        found += supported(spec["volumeMode"], "spec.volumeMode", _VOLUME_MODES)
    name = spec.get("volumeAttributesClassName")
    if name is not None:
        path = "spec.volumeAttributesClassName"
        found += named(name, path, formats.dns_subdomain, "an empty string is disallowed")
        if spec.get("csi") is None:
            found.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
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


@on_create(_GROUP, "StorageClass")
def storage_class(obj: Object) -> Errors:
    provisioner = obj.get("provisioner") or ""
    if not provisioner:
        found = [required("provisioner", "")]
    else:
        found = [invalid("provisioner", provisioner, text) for text in formats.qualified_name(provisioner.lower())]
    found += _parameters(obj.get("parameters") or {}, "parameters")
    if obj.get("reclaimPolicy"):
        found += supported(obj["reclaimPolicy"], "reclaimPolicy", ("Delete", "Retain"))
    mode = obj.get("volumeBindingMode")
    if mode is None:
        found.append(required("volumeBindingMode"))
    else:
        found += supported(mode, "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))
    for index, term in enumerate(obj.get("allowedTopologies") or []):
        here = f"allowedTopologies[{index}]"
        keys: set[str] = set()
        for place, item in enumerate(term.get("matchLabelExpressions") or []):
            where, values = f"{here}.matchLabelExpressions[{place}]", item.get("values") or []
            found += [] if values else [required(f"{where}.values")]
            found += [duplicate(f"{where}.values[{i}]", value) for i, value in enumerate(values) if value in values[:i]]
            found += formatted(item.get("key") or "", f"{where}.key", formats.qualified_name)
            if item.get("key") in keys:
                found.append(duplicate(f"{where}.key", item.get("key")))
            keys.add(item.get("key") or "")
    return found


def _parameters(values: Object, path: str) -> Errors:
    found: Errors = []
    if len(values) > 512:
        found.append(too_long(f"{path}", 512))
    if any(not key for key in values):
        found.append(invalid(path, "", "field can not be empty."))
    if sum(len(key) + len(value or "") for key, value in values.items()) > 256 * 1024:
        found.append(too_long(path, 256 * 1024))
    return found


@on_update(_GROUP, "StorageClass")
def storage_class_update(new: Object, old: Object) -> Errors:
    found: Errors = []
    text = "updates to {} are forbidden."
    for key in ("parameters", "provisioner", "reclaimPolicy"):
        if not same(new.get(key), old.get(key)):
            found.append(forbidden(key, text.format(key)))
    return found + unchanged(new.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")


@on_create(_GROUP, "VolumeAttributesClass")
def attributes_class(obj: Object) -> Errors:
    found = volumes.csi_driver_name(obj.get("driverName") or "", "driverName")
    if not obj.get("parameters"):
        return [*found, required("parameters", "must contain at least one key/value pair")]
    return found + _parameters(obj["parameters"], "parameters")


@on_update(_GROUP, "VolumeAttributesClass")
def attributes_class_update(new: Object, old: Object) -> Errors:
    found: Errors = []
    for key in ("driverName", "parameters"):
        if not same(new.get(key), old.get(key)):
            found.append(forbidden(key, f"updates to {key} are forbidden."))
    return found


@on_create(_GROUP, "CSIDriver")
def csi_driver(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = volumes.csi_driver_name(obj["metadata"].get("name") or "", "metadata.name")
    for key in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(key) is None:
            found.append(required(f"spec.{key}"))
    modes = spec.get("volumeLifecycleModes") or []
    for mode in modes:
        found += supported(mode, "spec.volumeLifecycleModes", ("Ephemeral", "Persistent"))
    if spec.get("fsGroupPolicy") is not None:
        values = ("File", "None", "ReadWriteOnceWithFSType")
        found += supported(spec["fsGroupPolicy"], "spec.fsGroupPolicy", values)
    seen: set[str] = set()
    for index, request in enumerate(spec.get("tokenRequests") or []):
        here, audience = f"spec.tokenRequests[{index}]", request.get("audience") or ""
        if audience in seen:
            found.append(duplicate(f"{here}.audience", audience))
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < 600:
            text = "may not specify a duration less than 10 minutes"
            found.append(invalid(f"{here}.expirationSeconds", seconds, text))
    return found


@on_update(_GROUP, "CSIDriver")
def csi_driver_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found: Errors = []
    for key, shown in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
        found += unchanged(spec.get(key), before.get(key), f"spec.{shown}")
    return found


@on_create(_GROUP, "CSINode")
def csi_node(obj: Object) -> Errors:
    found: Errors = []
    names: set[str] = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or []):
        here, name = f"spec.drivers[{index}]", driver.get("name") or ""
        found += volumes.csi_driver_name(name, f"{here}.name")
        if not driver.get("nodeID"):
            found.append(required(f"{here}.nodeID"))
        if name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            found.append(invalid(f"{here}.allocatable.count", count, "must be greater than or equal to 0"))
    return found


@on_create(_GROUP, "VolumeAttachment")
def attachment(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found: Errors = []
    if not spec.get("attacher"):
        found.append(required("spec.attacher"))
    source = spec.get("source") or {}
    if not source.get("persistentVolumeName") and source.get("inlineVolumeSpec") is None:
        text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        found.append(required("spec.source", text))
    return found + named(spec.get("nodeName"), "spec.nodeName", formats.dns_subdomain)


@on_update(_GROUP, "VolumeAttachment")
def attachment_update(new: Object, old: Object) -> Errors:
    if same(new.get("spec"), old.get("spec")):
        return []
    shown: Any = internal.shown(new.get("spec"), "storage.VolumeAttachmentSpec")
    return [*attachment(new), invalid("spec", shown, metadata.IMMUTABLE)]


@on_create(_GROUP, "CSIStorageCapacity")
def capacity(obj: Object) -> Errors:
    found = label_selector(obj.get("nodeTopology"), "nodeTopology")
    found += one_of(obj.get("storageClassName"), "storageClassName", (obj.get("storageClassName") or "",))
    return found
