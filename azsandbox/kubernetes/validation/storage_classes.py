"""Validation of the group storage.k8s.io: classes, CSI drivers and nodes, attachments, capacities.

Source: k8s.io/kubernetes, pkg/apis/storage/validation, and pkg/registry/storage/*/strategy.go for what comes twice.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import formats, metadata, volumes
from azsandbox.kubernetes.validation.common import (
    formatted,
    label_selector,
    nonnegative,
    quantity,
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
from azsandbox.kubernetes.validation.storage import persistent_volume_spec

_GROUP = "storage.k8s.io"
_PARAMETERS, _PARAMETERS_SIZE = 512, 256 * 1024  # how many, and bytes of all
_NODE_ID = 256  # characters
_ERROR_MESSAGE = 1024  # bytes
_LIFECYCLE_MODES = ("Persistent", "Ephemeral")
_EITHER_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


@on_create(_GROUP, "StorageClass")
def storage_class(obj: Object) -> Errors:
    found = _provisioner(obj.get("provisioner") or "", "provisioner")
    found += _parameters(obj.get("parameters") or {}, "parameters")
    if obj.get("reclaimPolicy"):
        found += supported(obj["reclaimPolicy"], "reclaimPolicy", ("Delete", "Retain"))
    mode = obj.get("volumeBindingMode")
    if mode is None:
        found.append(required("volumeBindingMode"))
    else:
        found += supported(mode, "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))
    terms = obj.get("allowedTopologies") or []
    seen: list[dict[str, set[str]]] = [{} for _ in terms]  # by a slip of Kubernetes an empty term is a repeated one
    for index, term in enumerate(terms):
        here = f"allowedTopologies[{index}]"
        keys, faults = _topology_term(term, here)
        found += faults + [duplicate(f"{here}.matchLabelExpressions", "") for other in seen if other == keys]
        seen.append(keys)
    return found


def _provisioner(name: str, path: str) -> Errors:
    return formatted(name.lower(), path, formats.qualified_name) if name else [required(path)]


def _topology_term(term: Object, path: str) -> tuple[dict[str, set[str]], Errors]:
    """The values that a term allows by key, and its faults."""
    found: Errors = []
    keys: dict[str, set[str]] = {}
    for place, item in enumerate(term.get("matchLabelExpressions") or []):
        where, values, key = f"{path}.matchLabelExpressions[{place}]", item.get("values") or [], item.get("key") or ""
        found += [] if values else [required(f"{where}.values")]
        found += [duplicate(f"{where}.values[{i}]", value) for i, value in enumerate(values) if value in values[:i]]
        found += formatted(key, f"{where}.key", formats.qualified_name)
        found += [duplicate(f"{where}.key", key)] if key in keys else []
        keys[key] = set(values)
    return keys, found


def _parameters(values: Object, path: str) -> Errors:
    if len(values) > _PARAMETERS:
        return [too_long(path, _PARAMETERS)]
    found: Errors = [invalid(path, "", "field can not be empty.")] if "" in values else []
    if sum(len(key.encode()) + len((value or "").encode()) for key, value in values.items()) > _PARAMETERS_SIZE:
        found.append(too_long(path, _PARAMETERS_SIZE))
    return found


def _frozen(new: Object, old: Object, *keys: str) -> Errors:
    return [forbidden(key, f"updates to {key} are forbidden.") for key in keys if not same(new.get(key), old.get(key))]


@on_update(_GROUP, "StorageClass")
def storage_class_update(new: Object, old: Object) -> Errors:
    found = storage_class(new) + _frozen(new, old, "parameters", "provisioner", "reclaimPolicy")
    return found + unchanged(new.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")


@on_create(_GROUP, "VolumeAttributesClass")
def attributes_class(obj: Object) -> Errors:
    found = _provisioner(obj.get("driverName") or "", "driverName")
    found += _parameters(obj.get("parameters") or {}, "parameters")
    if not obj.get("parameters"):
        found.append(required("parameters", "must contain at least one key/value pair"))
    return found


@on_update(_GROUP, "VolumeAttributesClass")
def attributes_class_update(new: Object, old: Object) -> Errors:
    return _frozen(new, old, "driverName", "parameters") + attributes_class(new)


@on_create(_GROUP, "CSIDriver")
def csi_driver(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found: Errors = []
    for key, shown in (("attachRequired", "attachedRequired"), ("podInfoOnMount",) * 2, ("storageCapacity",) * 2):
        if spec.get(key) is None:
            found.append(required(f"spec.{shown}"))
    if spec.get("fsGroupPolicy") is not None:
        values = ("File", "None", "ReadWriteOnceWithFSType")
        found += supported(spec["fsGroupPolicy"], "spec.fsGroupPolicy", values)
    found += _token_requests(spec.get("tokenRequests") or [])
    for mode in spec.get("volumeLifecycleModes") or []:
        if mode not in _LIFECYCLE_MODES:
            found.append(not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLE_MODES))
    if spec.get("seLinuxMount") is None:
        found.append(required("spec.seLinuxMount"))
    period, in_secrets = spec.get("nodeAllocatableUpdatePeriodSeconds"), spec.get("serviceAccountTokenInSecrets")
    if period is not None and period < 10:
        text = "must be greater than or equal to 10 seconds"
        found.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, text))
    if in_secrets is not None and not spec.get("tokenRequests"):
        text = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        found.append(invalid("spec.serviceAccountTokenInSecrets", in_secrets, text))
    return found


def _token_requests(requests: list[Object]) -> Errors:
    found: Errors = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        here, audience = f"spec.tokenRequests[{index}]", request.get("audience") or ""
        if audience in seen:
            found.append(duplicate(f"{here}.audience", audience))
            continue
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < 600:
            text = "may not specify a duration less than 10 minutes"
            found.append(invalid(f"{here}.expirationSeconds", seconds, text))
        if seconds is not None and seconds > 1 << 32:
            text = "may not specify a duration larger than 2^32 seconds"
            found.append(invalid(f"{here}.expirationSeconds", seconds, text))
    return found


@on_update(_GROUP, "CSIDriver")
def csi_driver_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = csi_driver(new)
    for key, shown in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
        found += unchanged(spec.get(key), before.get(key), f"spec.{shown}")
    return found


@on_create(_GROUP, "CSINode")
def csi_node(obj: Object) -> Errors:
    found: Errors = []
    names: set[str] = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or []):
        found += _csi_node_driver(driver, f"spec.drivers[{index}]", names)
    return found


def _csi_node_driver(driver: Object, path: str, names: set[str]) -> Errors:
    name, node = driver.get("name") or "", driver.get("nodeID") or ""
    found = volumes.csi_driver_name(name, f"{path}.name")
    if not node:
        found.append(required(f"{path}.nodeID"))
    if len(node.encode()) > _NODE_ID:
        found.append(invalid(f"{path}.nodeID", node, f"must be {_NODE_ID} characters or less"))
    found += nonnegative((driver.get("allocatable") or {}).get("count"), f"{path}.allocatable.count")
    found += [duplicate(f"{path}.name", name)] if name in names else []
    names.add(name)
    keys = driver.get("topologyKeys") or []
    for index, key in enumerate(keys):
        found += [] if key else [required(path)]
        found += [duplicate(path, key)] if key in keys[:index] else []
        found += formatted(key, path, formats.qualified_name)
    return found


@on_update(_GROUP, "CSINode")
def csi_node_update(new: Object, old: Object) -> Errors:
    found = csi_node(new) + csi_node(new)
    for before in (old.get("spec") or {}).get("drivers") or []:
        for driver in (new.get("spec") or {}).get("drivers") or []:
            if driver.get("name") == before.get("name"):
                bare, earlier = ({k: v for k, v in each.items() if k != "allocatable"} for each in (driver, before))
                found += unchanged(bare, earlier, "spec.drivers", internal.shown(bare, "storage.CSINodeDriver"))
    return found


@on_create(_GROUP, "VolumeAttachment")
def attachment(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = _attachment(obj) + volumes.csi_driver_name(spec.get("attacher") or "", "spec.attacher")
    name = (spec.get("source") or {}).get("persistentVolumeName")
    return found + (
        formatted(name, "spec.source.persistentVolumeName", formats.dns_subdomain) if name is not None else []
    )


def _attachment(obj: Object) -> Errors:
    """What holds for attachments of every version."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    found: Errors = [] if spec.get("attacher") else [required("spec.attacher")]
    found += _attachment_source(spec.get("source") or {}, "spec.source")
    found += formatted(spec.get("nodeName") or "", "spec.nodeName", formats.dns_subdomain)
    data = status.get("attachmentMetadata") or {}
    if sum(len(key.encode()) + len((value or "").encode()) for key, value in data.items()) > _PARAMETERS_SIZE:
        found.append(too_long("status.attachmentMetadata", _PARAMETERS_SIZE))
    for key in ("attachError", "detachError"):
        error = status.get(key) or {}
        if len((error.get("message") or "").encode()) > _ERROR_MESSAGE:
            found.append(too_long(f"status.{key}.message", _PARAMETERS_SIZE))
        if (error.get("errorCode") or 0) < 0:
            text = formats.range_text(0, 2**31 - 1)
            found.append(invalid(f"status.{key}.errorCode", error["errorCode"], text))
    return found


def _attachment_source(source: Object, path: str) -> Errors:
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and name is None:
        return [required(path, _EITHER_SOURCE)]
    if inline is not None and name is not None:
        return [forbidden(path, _EITHER_SOURCE)]
    if inline is not None:
        return persistent_volume_spec(inline, f"{path}.inlineVolumeSpec", inline=True)
    return [] if name else [required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")]


def _attachment_update(new: Object, old: Object) -> Errors:
    found = _attachment(new)
    if not same(new.get("spec"), old.get("spec")):
        shown: Any = internal.shown(new.get("spec"), "storage.VolumeAttachmentSpec")
        found.append(invalid("spec", shown, metadata.IMMUTABLE))
    return found


on_update(_GROUP, "VolumeAttachment")(_attachment_update)
on_update(_GROUP, "VolumeAttachment", subresource="status")(_attachment_update)


@on_create(_GROUP, "CSIStorageCapacity")
def capacity(obj: Object) -> Errors:
    found = label_selector(obj.get("nodeTopology"), "nodeTopology")
    found += formatted(obj.get("storageClassName") or "", "storageClassName", formats.dns_subdomain)
    size = obj.get("capacity")
    if size is not None and quantity(size) < Quantity.ZERO:
        found.append(invalid("capacity", size, "must be greater than or equal to 0"))
    return found


@on_update(_GROUP, "CSIStorageCapacity")
def capacity_update(new: Object, old: Object) -> Errors:
    found = capacity(new)
    for key in ("nodeTopology", "storageClassName"):
        if not same(new.get(key), old.get(key)):
            found.append(invalid(key, new.get(key), metadata.IMMUTABLE))
    return found
