"""Validation of the volumes of pods."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats, metadata, volume_sources
from azsandbox.kubernetes.validation.common import (
    descending_path,
    file_mode,
    formatted,
    local_path,
    named,
    no_backsteps,
    supported,
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
from azsandbox.kubernetes.validation.volume_sources import Check

_MORE_THAN_ONE = "may not specify more than 1 volume type"
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_CONVERTIBLE = frozenset((*_DOWNWARD_FIELDS, *_ENV_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"))
_RESOURCE_FIELDS = tuple(
    f"{part}.{name}" for part in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def volumes(items: list[Object], pod_name: str, path: str) -> tuple[dict[str, Object], Errors]:
    """Volumes by name, those without fault, and the faults of the others."""
    found: Errors = []
    sound: dict[str, Object] = {}
    created = {f"{pod_name}-{item.get('name')}" for item in items if item.get("ephemeral") is not None and pod_name}
    for index, item in enumerate(items):
        here, name = f"{path}[{index}]", item.get("name") or ""
        faults = _source(item, here, pod_name)
        faults += named(name, f"{here}.name", formats.dns_label)
        if name in sound:
            faults.append(duplicate(f"{here}.name", name))
        if not faults:
            sound[name] = item
        found += faults
        claim = (item.get("persistentVolumeClaim") or {}).get("claimName")
        if claim in created:
            text = "must not reference a PVC that gets created for an ephemeral volume"
            found.append(invalid(f"{here}.persistentVolumeClaim.claimName", claim, text))
    return sound, found


def _source(item: Object, path: str, pod_name: str) -> Errors:
    found: Errors = []
    count = 0
    for key, check in _SOURCES.items():
        source = item.get(key)
        if source is None:
            continue
        if count:
            found.append(forbidden(f"{path}.{key}", _MORE_THAN_ONE))
            continue
        count = 1
        if key == "image" and pod_name and not source.get("reference"):
            found.append(required(f"{path}.image.reference"))  # which may come later in a template
        found += check(source, f"{path}.{volume_sources.PATHS.get(key, key)}")
        if key == "ephemeral" and pod_name and item.get("name"):
            claim = f"{pod_name}-{item['name']}"
            found += [
                invalid(f"{path}.name", item["name"], f'PVC name "{claim}": {text}')
                for text in formats.dns_subdomain(claim)
            ]
    return found if count else [required(path, "must specify a volume type")]


def _empty_dir(source: Object, path: str) -> Errors:
    limit = source.get("sizeLimit")
    if limit is not None and Quantity.parse(limit) < Quantity.ZERO:
        return [forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def host_path(source: Object, path: str) -> Errors:
    """A path of the node."""
    if not source.get("path"):
        return [required(f"{path}.path")]
    found = no_backsteps(source["path"], f"{path}.path")
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        found.append(not_supported(f"{path}.type", kind, _HOST_PATH_TYPES))
    return found


def _git_repo(source: Object, path: str) -> Errors:
    found = [] if source.get("repository") else [required(f"{path}.repository")]
    return found + local_path(source.get("directory") or "", f"{path}.directory")


def _keys_to_paths(items: list[Object] | None, path: str) -> Errors:
    found: Errors = []
    for index, item in enumerate(items or []):
        here = f"{path}.items[{index}]"
        found += [required(f"{here}.{key}") for key in ("key", "path") if not item.get(key)]
        found += local_path(item.get("path") or "", f"{here}.path")
        found += file_mode(item.get("mode"), f"{here}.mode")
    return found


def _secret(source: Object, path: str) -> Errors:
    found = [] if source.get("secretName") else [required(f"{path}.secretName")]
    return (
        found + file_mode(source.get("defaultMode"), f"{path}.defaultMode") + _keys_to_paths(source.get("items"), path)
    )


def _config_map(source: Object, path: str) -> Errors:
    found = [] if source.get("name") else [required(f"{path}.name")]
    return (
        found + file_mode(source.get("defaultMode"), f"{path}.defaultMode") + _keys_to_paths(source.get("items"), path)
    )


def _claim(source: Object, path: str) -> Errors:
    return [] if source.get("claimName") else [required(f"{path}.claimName")]


def _downward_file(item: Object, path: str) -> Errors:
    found = [] if item.get("path") else [required(f"{path}.path")]
    found += local_path(item.get("path") or "", f"{path}.path")
    if item.get("fieldRef") is not None:
        found += field_reference(item["fieldRef"], _DOWNWARD_FIELDS, f"{path}.fieldRef")
        if item.get("resourceFieldRef") is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(invalid(path, "resource", text))
    elif item.get("resourceFieldRef") is not None:
        found += resource_reference(item["resourceFieldRef"], f"{path}.resourceFieldRef", in_volume=True)
    else:
        found.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    return found + file_mode(item.get("mode"), f"{path}.mode")


def _downward_api(source: Object, path: str) -> Errors:
    found = file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    for item in source.get("items") or []:
        found += _downward_file(item, path)
    return found


def _projected(source: Object, path: str) -> Errors:
    found = file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    taken: set[str] = set()
    for index, item in enumerate(source.get("sources") or []):
        here = f"{path}.sources[{index}]"
        found += _projection(item, here, path, taken)
        if sum(value is not None for value in item.values()) > 1:
            found.append(forbidden(here, "may not specify more than 1 volume type per source"))
    return found


def _projection(item: Object, here: str, path: str, taken: set[str]) -> Errors:
    found: Errors = []
    for key in ("secret", "configMap"):
        part = item.get(key)
        if part is None:
            continue
        found += [] if part.get("name") else [required(f"{here}.{key}.name")]
        found += _keys_to_paths(part.get("items"), f"{here}.{key}")
        for entry in part.get("items") or []:
            found += _taken(entry.get("path"), part.get("name") or "", path, taken)
    part = item.get("downwardAPI")
    if part is not None:
        for entry in part.get("items") or []:
            found += _downward_file(entry, f"{here}.downwardAPI")
            found += _taken(entry.get("path"), entry.get("path") or "", path, taken)
    part = item.get("serviceAccountToken")
    if part is not None:
        seconds = part.get("expirationSeconds") or 0
        where = f"{here}.serviceAccountToken.expirationSeconds"
        if seconds < 600:
            found.append(invalid(where, seconds, "may not specify a duration less than 10 minutes"))
        if seconds > 1 << 32:
            found.append(invalid(where, seconds, "may not specify a duration larger than 2^32 seconds"))
        if not part.get("path"):
            found.append(required(f"{path}.path"))
        else:
            found += local_path(part["path"], f"{path}.path")
    return found


def _taken(value: str | None, shown: str, path: str, taken: set[str]) -> Errors:
    if not value:
        return []
    if value in taken:
        return [invalid(path, shown, "conflicting duplicate paths")]
    taken.add(value)
    return []


def csi_driver_name(name: str, path: str) -> Errors:
    if not name:
        return [required(path)]
    found = [too_long(path, 63)] if len(name) > 63 else []
    return found + [invalid(path, name, text) for text in formats.dns_subdomain(name.lower())]


def _csi(source: Object, path: str) -> Errors:
    found = csi_driver_name(source.get("driver") or "", f"{path}.driver")
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        if not secret.get("name"):
            found.append(required(f"{path}.nodePublishSecretRef.name"))
        else:
            found += formatted(secret["name"], f"{path}.name", formats.dns_subdomain)
    return found


def _ephemeral(source: Object, path: str) -> Errors:
    from azsandbox.kubernetes.validation.storage import claim_spec

    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{path}.volumeClaimTemplate")]
    here = f"{path}.volumeClaimTemplate"
    meta = template.get("metadata") or {}
    found = metadata.annotation_values(meta.get("annotations"), f"{here}.metadata.annotations")
    found += metadata.labels(meta.get("labels"), f"{here}.metadata.labels")
    found += [
        forbidden(f"{here}.metadata.{'uID' if key == 'uid' else key}", "cannot be set")
        for key, value in meta.items()
        if (value or value == 0) and key not in ("annotations", "labels")
    ]
    return found + claim_spec(template.get("spec") or {}, f"{here}.spec")


def _image(source: Object, path: str) -> Errors:
    policy = source.get("pullPolicy")
    if not policy:
        return [required(f"{path}.pullPolicy")]
    return supported(policy, f"{path}.pullPolicy", PULL_POLICIES)


# in the order in which Kubernetes looks for them
_ORDER = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
]
_OWN: dict[str, Check] = {
    "emptyDir": _empty_dir,
    "hostPath": host_path,
    "gitRepo": _git_repo,
    "secret": _secret,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward_api,
    "configMap": _config_map,
    "projected": _projected,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
_SOURCES: dict[str, Check] = {key: _OWN.get(key) or volume_sources.OF_PODS[key] for key in _ORDER}


def field_reference(reference: Object, fields: tuple[str, ...], path: str) -> Errors:
    """A field of the pod, as the downward API names it."""
    version, name = reference.get("apiVersion") or "", reference.get("fieldPath") or ""
    for key, value in (("apiVersion", version), ("fieldPath", name)):
        if not value:
            return [required(f"{path}.{key}")]
    here = f"{path}.fieldPath"
    if version != "v1":
        return [invalid(here, name, f"error converting fieldPath: unsupported pod version: {version}")]
    field, bracket, rest = name.partition("['")
    if bracket and rest.endswith("']"):
        subscript = rest[:-2]
        if field not in ("metadata.annotations", "metadata.labels"):
            text = f"error converting fieldPath: field label does not support subscript: {name}"
            return [invalid(here, name, text)]
        key = subscript.lower() if field == "metadata.annotations" else subscript
        return formatted(key, path, formats.qualified_name)
    name = "spec.nodeName" if name == "spec.host" else name
    if name not in _CONVERTIBLE:
        return [invalid(here, name, f"error converting fieldPath: field label not supported: {name}")]
    return [] if name in fields else [not_supported(here, name, fields)]


def env_field(reference: Object, path: str) -> Errors:
    return field_reference(reference, _ENV_FIELDS, path)


def resource_reference(reference: Object, path: str, *, in_volume: bool = False) -> Errors:
    """A container's limit or request, as the downward API names it."""
    found: Errors = []
    name = reference.get("resource") or ""
    if in_volume and not reference.get("containerName"):
        found.append(required(f"{path}.containerName"))
    elif not name:
        found.append(required(f"{path}.resource"))
    elif name not in _RESOURCE_FIELDS and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        found.append(not_supported(f"{path}.resource", name, _RESOURCE_FIELDS))
    return found + _divisor(name, reference.get("divisor"), path)


def _divisor(name: str, divisor: Any, path: str) -> Errors:
    value = Quantity.parse(divisor) if divisor is not None else Quantity.ZERO
    if value == Quantity.ZERO:
        return []
    kind = name.partition(".")[2]
    if kind == "cpu":
        text = "only divisor's values 1m and 1 are supported with the cpu resource"
        return [] if str(value) in ("1m", "1") else [invalid(f"{path}.divisor", name, text)]
    words = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}
    word = "hugepages" if kind.startswith("hugepages-") else words.get(kind)
    if word is None or str(value) in _SIZES:
        return []
    text = f"only divisor's values {', '.join(_SIZES)} are supported with the {word} resource"
    return [invalid(f"{path}.divisor", name, text)]


def mounts(container: Object, known: dict[str, Object], path: str) -> Errors:
    """A container's mounts and raw devices."""
    found: Errors = []
    items = container.get("volumeMounts") or []
    devices = container.get("volumeDevices") or []
    device_paths = {item.get("devicePath") or "" for item in devices}
    device_names = {item.get("name") or "" for item in devices}
    points: set[str] = set()
    privileged = bool((container.get("securityContext") or {}).get("privileged"))
    base = f"{path}.volumeMounts"
    for index, item in enumerate(items):
        here = f"{base}[{index}]"
        name, point = item.get("name") or "", item.get("mountPath") or ""
        if not name:
            found.append(required(f"{here}.name"))
        if name not in known:
            found.append(_absent(f"{here}.name", name))
        if not point:
            found.append(required(f"{here}.mountPath"))
        if point in points:
            found.append(invalid(f"{here}.mountPath", point, "must be unique"))
        points.add(point)
        if name in device_names:
            found.append(invalid(f"{here}.name", name, "must not already exist in volumeDevices"))
        if point in device_paths:
            found.append(invalid(f"{here}.mountPath", point, "must not already exist as a path in volumeDevices"))
        found += _mount_details(item, here, base, privileged)
    return found + _devices(devices, items, known, f"{path}.volumeDevices")


def _absent(path: str, name: str) -> Any:
    from azsandbox.kubernetes.validation.errors import not_found

    return not_found(path, name)


def _mount_details(item: Object, here: str, base: str, privileged: bool) -> Errors:
    found: Errors = []
    if item.get("subPath"):
        found += descending_path(item["subPath"], f"{base}.subPath")
    if item.get("subPathExpr"):
        if item.get("subPath"):
            text = "subPathExpr and subPath are mutually exclusive"
            found.append(invalid(f"{here}.subPathExpr", item["subPathExpr"], text))
        found += descending_path(item["subPathExpr"], f"{base}.subPathExpr")
    propagation, recursive = item.get("mountPropagation"), item.get("recursiveReadOnly")
    if propagation is not None:
        found += supported(propagation, f"{base}.mountPropagation", ("Bidirectional", "HostToContainer", "None"))
        if propagation == "Bidirectional" and not privileged:
            text = "Bidirectional mount propagation is available only to privileged containers"
            found.append(forbidden(f"{base}.mountPropagation", text))
    if recursive in ("Enabled", "IfPossible"):
        if not item.get("readOnly"):
            found.append(forbidden(f"{base}.recursiveReadOnly", "may only be specified when readOnly is true"))
        if propagation not in (None, "None"):
            text = "may only be specified when mountPropagation is None or not specified"
            found.append(forbidden(f"{base}.recursiveReadOnly", text))
    elif recursive not in (None, "Disabled"):
        found += supported(recursive, f"{base}.recursiveReadOnly", ("Disabled", "Enabled", "IfPossible"))
    return found


def _devices(items: list[Object], mounted: list[Object], known: dict[str, Object], path: str) -> Errors:
    found: Errors = []
    names: set[str] = set()
    paths: set[str] = set()
    for index, item in enumerate(items):
        here, name, point = f"{path}[{index}]", item.get("name") or "", item.get("devicePath") or ""
        volume = known.get(name)
        if not name:
            found.append(required(f"{here}.name"))
        if name in names:
            found.append(invalid(f"{here}.name", name, "must be unique"))
        if volume is None:
            found.append(_absent(f"{here}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            found.append(invalid(f"{here}.name", name, text))
        if not point:
            found.append(required(f"{here}.devicePath"))
        if point in paths:
            found.append(invalid(f"{here}.devicePath", point, "must be unique"))
        if point and no_backsteps(point, here):
            found.append(invalid(f"{here}.devicePath", point, "can not contain backsteps ('..')"))
        else:
            paths.add(point)
        if any(mount.get("name") == name for mount in mounted):
            found.append(invalid(f"{here}.name", name, "must not already exist in volumeMounts"))
        if any(mount.get("mountPath") == point for mount in mounted):
            found.append(invalid(f"{here}.devicePath", point, "must not already exist as a path in volumeMounts"))
        if name:
            names.add(name)
    return found
