"""Rows of volumes and what provides them."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.tables.cells import NONE, UNSET, Row, age, name, spec, status

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _class(obj: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get(_BETA_CLASS) or spec(obj).get("storageClassName") or "")


def _phase(obj: Object) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else str(status(obj).get("phase", ""))


def _volume(obj: Object) -> list[Any]:
    claim = spec(obj).get("claimRef")
    return [
        name(obj),
        (spec(obj).get("capacity") or {}).get("storage", "0"),
        _modes(spec(obj).get("accessModes")),
        spec(obj).get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class(obj),
        spec(obj).get("volumeAttributesClassName", UNSET),
        status(obj).get("reason", ""),
        age(obj),
        spec(obj).get("volumeMode", UNSET),
    ]


def _claim(obj: Object) -> list[Any]:
    bound = bool(spec(obj).get("volumeName"))
    return [
        name(obj),
        _phase(obj),
        spec(obj).get("volumeName", ""),
        (status(obj).get("capacity") or {}).get("storage", "0") if bound else "",
        _modes(status(obj).get("accessModes")) if bound else "",
        _class(obj),
        spec(obj).get("volumeAttributesClassName", UNSET),
        age(obj),
        spec(obj).get("volumeMode", UNSET),
    ]


def _storage_class(obj: Object) -> list[Any]:
    annotations = obj["metadata"].get("annotations") or {}
    default = any(annotations.get(key) == "true" for key in _DEFAULT)
    return [
        name(obj) + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(obj),
    ]


def _csi_driver(obj: Object) -> list[Any]:
    found = spec(obj)
    tokens = found.get("tokenRequests")
    return [
        name(obj),
        found.get("attachRequired", True),
        found.get("podInfoOnMount", False),
        found.get("storageCapacity", False),
        UNSET if tokens is None else ",".join(t.get("audience", "") for t in tokens),
        found.get("requiresRepublish", False),
        ",".join(found.get("volumeLifecycleModes") or ()) or NONE,
        age(obj),
    ]


def _csi_node(obj: Object) -> list[Any]:
    return [name(obj), len(spec(obj).get("drivers") or ()), age(obj)]


def _attachment(obj: Object) -> list[Any]:
    found = spec(obj)
    volume = (found.get("source") or {}).get("persistentVolumeName", "")
    return [
        name(obj),
        found.get("attacher", ""),
        volume,
        found.get("nodeName", ""),
        bool(status(obj).get("attached")),
        age(obj),
    ]


def _attributes_class(obj: Object) -> list[Any]:
    return [name(obj), obj.get("driverName", ""), age(obj)]


ROWS: dict[str, Row] = {
    "persistentvolumes": _volume,
    "persistentvolumeclaims": _claim,
    "storageclasses.storage.k8s.io": _storage_class,
    "csidrivers.storage.k8s.io": _csi_driver,
    "csinodes.storage.k8s.io": _csi_node,
    "volumeattachments.storage.k8s.io": _attachment,
    "volumeattributesclasses.storage.k8s.io": _attributes_class,
}
