"""Validation of the volumes that lie on a network or a cloud's disk, in pods and in PersistentVolumes.

A PersistentVolume names the namespace of a secret besides, which a pod's volume has not. Source:
k8s.io/kubernetes, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import formatted, supported
from azsandbox.kubernetes.validation.errors import Errors, invalid, not_supported, required

Check = Callable[[Object, str], Errors]

_MANAGED_DISK = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_BLOB_DISK = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_INITIATORS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$"),
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$"),
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$"),
}
_REGISTRY = "must be a host:port pair or multiple pairs separated by commas"


def requires(*keys: str) -> Check:
    """A source of which no more is asked than that some fields are there."""

    def check(source: Object, path: str) -> Errors:
        return [required(f"{path}.{key}") for key in keys if not source.get(key)]

    return check


def _all(*checks: Check) -> Check:
    return lambda source, path: [fault for check in checks for fault in check(source, path)]


def _secret(*keys: str) -> Check:
    """The secret that a source refers to has these fields."""

    def check(source: Object, path: str) -> Errors:
        reference = source.get("secretRef")
        if reference is None:
            return []
        return [required(f"{path}.secretRef.{key}") for key in keys if not reference.get(key)]

    return check


def _partition(source: Object, path: str) -> Errors:
    number = source.get("partition") or 0
    return [] if 0 <= number <= 255 else [invalid(f"{path}.partition", number, formats.range_text(1, 255))]


def azure_disk(source: Object, path: str) -> Errors:
    """A disk, managed or a blob; the URI must be of that kind."""
    found = requires("diskName", "diskURI")(source, path)
    caching, kind = source.get("cachingMode"), source.get("kind")
    if caching is not None:
        found += supported(caching, f"{path}.cachingMode", ("None", "ReadOnly", "ReadWrite"))
    if kind is not None:
        found += supported(kind, f"{path}.kind", ("Dedicated", "Managed", "Shared"))
    uri, managed = source.get("diskURI") or "", kind == "Managed"
    wanted, form = ("/subscriptions/", _MANAGED_DISK) if managed else ("https://", _BLOB_DISK)
    if kind is not None and not uri.startswith(wanted):
        found.append(not_supported(f"{path}.diskURI", uri, (form,)))
    return found


def azure_file(source: Object, path: str) -> Errors:
    found = requires("secretName", "shareName")(source, path)
    if source.get("secretNamespace") == "":
        found.append(required(f"{path}.secretNamespace"))
    return found


def nfs(source: Object, path: str) -> Errors:
    found = requires("server", "path")(source, path)
    if not (source.get("path") or "").startswith("/"):
        found.append(invalid(f"{path}.path", source.get("path") or "", "must be an absolute path"))
    return found


def _initiator(value: str, path: str, unknown: str) -> Errors:
    form = _INITIATORS.get(value[:3])
    if form is None:
        return [invalid(path, value, unknown)]
    return [] if form.search(value) else [invalid(path, value, "must be valid format")]


def iscsi(persistent: bool) -> Check:
    unknown = "must be valid format" if persistent else "must be valid format starting with iqn, eui, or naa"

    def check(source: Object, path: str) -> Errors:
        found = requires("targetPortal")(source, path)
        iqn, lun = source.get("iqn") or "", source.get("lun") or 0
        found += _initiator(iqn, f"{path}.iqn", unknown) if iqn else [required(f"{path}.iqn")]
        if not 0 <= lun <= 255:
            found.append(invalid(f"{path}.lun", lun, formats.range_text(0, 255)))
        if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
            found.append(required(f"{path}.secretRef"))
        if persistent:
            found += _secret("name")(source, path)
        if source.get("initiatorName") is not None:
            found += _initiator(source["initiatorName"], f"{path}.initiatorname", unknown)
        return found

    return check


def fibre_channel(source: Object, path: str) -> Errors:
    names, ids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    found: Errors = []
    if not names and not ids:
        found.append(required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if names and ids:
        text = "targetWWNs and wwids can not be specified simultaneously"
        found.append(invalid(f"{path}.targetWWNs", names, text))
    if names and lun is None:
        found.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif names and not 0 <= (lun or 0) <= 255:
        found.append(invalid(f"{path}.lun", lun, formats.range_text(0, 255)))
    return found


def quobyte(source: Object, path: str) -> Errors:
    registry, found = source.get("registry") or "", []
    if not registry:
        found.append(required(f"{path}.registry", _REGISTRY))
    elif len(source.get("tenant") or "") >= 65:
        text = "must be a UUID and may not exceed a length of 64 characters"
        found.append(required(f"{path}.tenant", text))
    else:
        pairs = registry.split(",")
        found += [invalid(f"{path}.registry", registry, _REGISTRY) for pair in pairs if not _is_host_and_port(pair)]
    return found + requires("volume")(source, path)


def _is_host_and_port(text: str) -> bool:
    host, colon, _ = text.rpartition(":")
    if host.startswith("["):
        return bool(colon) and host.endswith("]")
    return bool(colon) and not set(host) & set(":[]")


def flocker(source: Object, path: str) -> Errors:
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    found: Errors = []
    if not name and not uuid:
        found.append(required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        found.append(invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
    if "/" in name:
        found.append(invalid(f"{path}.datasetName", name, "must not contain '/'"))
    return found


def flex_volume(source: Object, path: str) -> Errors:
    found = requires("driver")(source, path)
    for key in source.get("options") or {}:
        namespace = key.partition("/")[0] if "/" in key else key
        if f".{namespace.lower()}".endswith((".kubernetes.io", ".k8s.io")):
            text = "kubernetes.io and k8s.io namespaces are reserved"
            found.append(invalid(f"{path}.options[{key}]", key, text))
    return found


def _storage_os(source: Object, path: str) -> Errors:
    name, namespace = source.get("volumeName"), source.get("volumeNamespace")
    found = formatted(name, f"{path}.volumeName", formats.dns_label) if name else [required(f"{path}.volumeName")]
    return found + (formatted(namespace, f"{path}.volumeNamespace", formats.dns_label) if namespace else [])


def _gluster_namespace(source: Object, path: str) -> Errors:
    name, where = source.get("endpointsNamespace"), f"{path}.endpointsNamespace"
    if name is None:
        return []
    if not name:
        return [invalid(where, name, "if the endpointnamespace is set, it must be a valid namespace name")]
    return formatted(name, where, formats.dns_label)


_COMMON: dict[str, Check] = {
    "gcePersistentDisk": _all(requires("pdName"), _partition),
    "awsElasticBlockStore": _all(requires("volumeID"), _partition),
    "flocker": flocker,
    "nfs": nfs,
    "rbd": requires("monitors", "image"),
    "quobyte": quobyte,
    "cephfs": requires("monitors"),
    "fc": fibre_channel,
    "flexVolume": flex_volume,
    "azureFile": azure_file,
    "vsphereVolume": requires("volumePath"),
    "photonPersistentDisk": requires("pdID"),
    "portworxVolume": requires("volumeID"),
    "azureDisk": azure_disk,
    "scaleIO": requires("gateway", "system", "volumeName"),
}
OF_PODS: dict[str, Check] = {
    **_COMMON,
    "glusterfs": requires("endpoints", "path"),
    "iscsi": iscsi(persistent=False),
    "cinder": _all(requires("volumeID"), _secret("name")),
    "storageos": _all(_storage_os, _secret("name")),
}
OF_PERSISTENT_VOLUMES: dict[str, Check] = {
    **_COMMON,
    "glusterfs": _all(requires("endpoints", "path"), _gluster_namespace),
    "iscsi": iscsi(persistent=True),
    "cinder": _all(requires("volumeID"), _secret("name", "namespace")),
    "storageos": _all(_storage_os, _secret("name", "namespace")),
}
# what errors call a field, where that is not its name
PATHS = {"gcePersistentDisk": "persistentDisk"}
