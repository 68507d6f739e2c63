"""Defaults of pods and pod templates."""

from __future__ import annotations

import re
from typing import Any

from azsandbox.kubernetes.defaults.registry import defaults
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MILLI = 10**6
_POD_LEVEL = ("cpu", "memory")


def put(obj: Object, key: str, value: Any) -> None:
    """Sets a field that is absent, null or empty."""
    if obj.get(key) in (None, "", 0) and obj.get(key) is not False:
        obj[key] = value


def put_absent(obj: Object, key: str, value: Any) -> None:
    """Sets a field that is absent or null. Zero and the empty string are the caller's."""
    if obj.get(key) is None:
        obj[key] = value


def amounts(resources: Object | None) -> None:
    """Amounts are no finer than a thousandth."""
    if not resources:
        return
    for name, text in resources.items():
        try:
            quantity = Quantity.parse(text)
        except ValueError:
            continue
        if quantity.nano % _MILLI:
            resources[name] = str(Quantity(-(-quantity.nano // _MILLI) * _MILLI, quantity.form))


def image_tag(image: str) -> str:
    """The tag of an image; `latest` if it names neither tag nor digest."""
    if "@" in image:
        name = image.partition("@")[0].rpartition("/")[2]
        return name.partition(":")[2]
    name = image.rpartition("/")[2]
    tag = name.partition(":")[2]
    return tag or "latest"


# an image's name: github.com/distribution/reference
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG, _DIGEST = r"\w[\w.-]{0,127}", r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?:({_HOST}(?::[0-9]+)?)/)?({_PART}(?:/{_PART})*)(?::{_TAG})?(?:@{_DIGEST})?", re.ASCII)
_NAME_LIMIT = 255  # characters


def _is_reference(image: str) -> bool:
    """Whether an image's name can be parsed; an uppercase letter or a name too long keep it from that."""
    found = _REFERENCE.fullmatch(image)
    return found is not None and len(found[2]) <= _NAME_LIMIT and not re.fullmatch(r"[a-f0-9]{64}", image)


def pull_policy(image: str) -> str:
    """Always for `latest`, IfNotPresent for anything else, be it no image at all."""
    return "Always" if _is_reference(image) and image_tag(image) == "latest" else "IfNotPresent"


def pod_spec(spec: Object) -> None:
    """The defaults of a pod's spec, in a pod or in a template."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # the old name of the field says the same
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    put(spec, "dnsPolicy", "ClusterFirst")
    put(spec, "restartPolicy", "Always")
    put_absent(spec, "securityContext", {})
    put_absent(spec, "terminationGracePeriodSeconds", 30)
    put(spec, "schedulerName", "default-scheduler")
    for each in spec.get("volumes") or []:
        volume(each)
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for each in spec.get(key) or []:
            container(each)
    amounts(spec.get("overhead"))
    resources = spec.get("resources") or {}
    amounts(resources.get("limits"))
    amounts(resources.get("requests"))


def template(obj: Object) -> None:
    """The defaults of a pod template."""
    if obj.get("spec") is None:
        obj["spec"] = {}
    pod_spec(obj["spec"])


def container(obj: Object) -> None:
    put(obj, "imagePullPolicy", pull_policy(obj.get("image") or ""))
    put(obj, "terminationMessagePath", "/dev/termination-log")
    put(obj, "terminationMessagePolicy", "File")
    for port in obj.get("ports") or []:
        put(port, "protocol", "TCP")
    for variable in obj.get("env") or []:
        source = variable.get("valueFrom") or {}
        if source.get("fieldRef") is not None:
            put(source["fieldRef"], "apiVersion", "v1")
        if source.get("fileKeyRef") is not None:
            put_absent(source["fileKeyRef"], "optional", False)
    resources = obj.get("resources")
    if resources:
        amounts(resources.get("limits"))
        amounts(resources.get("requests"))
    for key in _PROBES:
        if obj.get(key) is not None:
            probe(obj[key])
    for hook in (obj.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and hook.get("httpGet") is not None:
            http_get(hook["httpGet"])


def probe(obj: Object) -> None:
    put(obj, "timeoutSeconds", 1)
    put(obj, "periodSeconds", 10)
    put(obj, "successThreshold", 1)
    put(obj, "failureThreshold", 3)
    if obj.get("httpGet") is not None:
        http_get(obj["httpGet"])
    if obj.get("grpc") is not None:
        put_absent(obj["grpc"], "service", "")


def http_get(obj: Object) -> None:
    put(obj, "path", "/")
    put(obj, "scheme", "HTTP")


def volume(obj: Object) -> None:
    """A volume without a source is an emptyDir."""
    if not any(value is not None for key, value in obj.items() if key != "name"):
        obj["emptyDir"] = {}
        return
    for key, fill in _VOLUME_SOURCES.items():
        if obj.get(key) is not None:
            fill(obj[key])


def _mode(obj: Object) -> None:
    put_absent(obj, "defaultMode", MODE)


def _items(obj: Object) -> None:
    for item in obj.get("items") or []:
        if item.get("fieldRef") is not None:
            put(item["fieldRef"], "apiVersion", "v1")


def _downward(obj: Object) -> None:
    _mode(obj)
    _items(obj)


def _projected(obj: Object) -> None:
    _mode(obj)
    for source in obj.get("sources") or []:
        if source.get("downwardAPI") is not None:
            _items(source["downwardAPI"])
        if source.get("serviceAccountToken") is not None:
            put_absent(source["serviceAccountToken"], "expirationSeconds", 3600)


def claim_spec(obj: Object) -> None:
    """The defaults of a claim's spec, in a claim or in a template of one."""
    put_absent(obj, "volumeMode", "Filesystem")
    resources = obj.get("resources") or {}
    amounts(resources.get("limits"))
    amounts(resources.get("requests"))


def _ephemeral(obj: Object) -> None:
    if obj.get("volumeClaimTemplate") is not None:
        put_absent(obj["volumeClaimTemplate"], "spec", {})
        claim_spec(obj["volumeClaimTemplate"]["spec"])


def _image(obj: Object) -> None:
    put(obj, "pullPolicy", pull_policy(obj.get("reference") or ""))


def host_path(obj: Object) -> None:
    put_absent(obj, "type", "")


def rbd(obj: Object) -> None:
    for key, value in (("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")):
        put(obj, key, value)


def iscsi(obj: Object) -> None:
    put(obj, "iscsiInterface", "default")


def azure_disk(obj: Object) -> None:
    values = (("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("readOnly", False), ("kind", "Shared"))
    for key, value in values:
        put_absent(obj, key, value)


def scale_io(obj: Object) -> None:
    put(obj, "storageMode", "ThinProvisioned")
    put(obj, "fsType", "xfs")


_VOLUME_SOURCES = {
    "hostPath": host_path,
    "secret": _mode,
    "configMap": _mode,
    "downwardAPI": _downward,
    "projected": _projected,
    "ephemeral": _ephemeral,
    "image": _image,
    "iscsi": iscsi,
    "rbd": rbd,
    "azureDisk": azure_disk,
    "scaleIO": scale_io,
}


@defaults("", "Pod")
def pod(obj: Object) -> None:
    """A pod's limits are its requests where it names none; host ports follow container ports on the host's network."""
    spec = obj["spec"] = obj.get("spec") or {}
    holders = (spec.get("containers") or []) + (spec.get("initContainers") or [])
    for each in holders:
        _requests_of_limits(each)
    _pod_level_requests(spec)
    put_absent(spec, "enableServiceLinks", True)
    if spec.get("hostNetwork"):
        for each in holders:
            for port in each.get("ports") or []:
                put(port, "hostPort", port.get("containerPort") or 0)
    pod_spec(spec)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1  # of a pod, but not of a template


def _requests_of_limits(obj: Object) -> None:
    resources = obj.get("resources") or {}
    if not resources.get("limits"):
        return
    requests = resources["requests"] = resources.get("requests") or {}
    for name, amount in resources["limits"].items():
        requests.setdefault(name, amount)


def _pod_level_requests(spec: Object) -> None:
    resources = spec.get("resources") or {}
    if not resources.get("limits"):
        return
    requests = dict(resources.get("requests") or {})
    sums: dict[str, Quantity] = {}
    for each in spec.get("containers") or []:
        for name, amount in ((each.get("resources") or {}).get("requests") or {}).items():
            if name in _POD_LEVEL:
                sums[name] = sums.get(name, Quantity.ZERO) + Quantity.parse(amount)
    for name, total in sums.items():
        requests.setdefault(name, str(total))
    for name, amount in resources["limits"].items():
        if name in _POD_LEVEL or name.startswith("hugepages-"):
            requests.setdefault(name, amount)
    if requests:
        resources["requests"] = requests


@defaults("", "PodTemplate")
def pod_template(obj: Object) -> None:
    put_absent(obj, "template", {})
    template(obj["template"])
