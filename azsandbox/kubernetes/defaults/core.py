"""Defaults of the core group, pods apart."""

from __future__ import annotations

from azsandbox.kubernetes.defaults import pods
from azsandbox.kubernetes.defaults.pods import amounts, put, put_absent
from azsandbox.kubernetes.defaults.registry import defaults
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.strategies import merge_string_data

_AFFINITY_SECONDS = 10800


def spec_of(obj: Object) -> Object:
    """The spec, made if there is none."""
    if obj.get("spec") is None:
        obj["spec"] = {}
    found: Object = obj["spec"]
    return found


@defaults("", "Service")
def service(obj: Object) -> None:
    spec = spec_of(obj)
    if spec.get("type") == "ExternalName":
        spec.pop("internalTrafficPolicy", None)  # defaulted by mistake once, and dropped since
    put(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}
    put(spec, "type", "ClusterIP")
    for port in spec.get("ports") or []:
        put(port, "protocol", "TCP")
        put(port, "targetPort", port.get("port") or 0)
    kind = spec["type"]
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        put(spec, "externalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        put_absent(spec, "internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        put_absent(spec, "allocateLoadBalancerNodePorts", True)
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
            if ingress.get("ip"):
                put_absent(ingress, "ipMode", "VIP")


@defaults("", "ReplicationController")
def replication_controller(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "replicas", 1)
    template = spec.get("template")
    if template is None:
        return
    labels = (template.get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        meta = obj.setdefault("metadata", {})
        if not meta.get("labels"):
            meta["labels"] = dict(labels)
    pods.template(template)


@defaults("", "Secret")
def secret(obj: Object) -> None:
    put(obj, "type", "Opaque")
    merge_string_data(obj)


@defaults("", "PersistentVolume")
def persistent_volume(obj: Object) -> None:
    obj["status"] = obj.get("status") or {}
    put(obj["status"], "phase", "Pending")
    spec = spec_of(obj)
    put(spec, "persistentVolumeReclaimPolicy", "Retain")
    put_absent(spec, "volumeMode", "Filesystem")
    amounts(spec.get("capacity"))
    sources = {
        "hostPath": pods.host_path,
        "rbd": pods.rbd,
        "iscsi": pods.iscsi,
        "azureDisk": pods.azure_disk,
        "scaleIO": pods.scale_io,
    }
    for key, fill in sources.items():
        if spec.get(key) is not None:
            fill(spec[key])


@defaults("", "PersistentVolumeClaim")
def persistent_volume_claim(obj: Object) -> None:
    obj["status"] = obj.get("status") or {}
    put(obj["status"], "phase", "Pending")
    pods.claim_spec(spec_of(obj))


@defaults("", "Endpoints")
def endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            put(port, "protocol", "TCP")


@defaults("", "Namespace")
def namespace(obj: Object) -> None:
    """A namespace is labelled with its own name."""
    meta = obj.setdefault("metadata", {})
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
    obj["status"] = obj.get("status") or {}
    put(obj["status"], "phase", "Active")


@defaults("", "Node")
def node(obj: Object) -> None:
    spec = spec_of(obj)
    if spec.get("podCIDR") and (spec.get("podCIDRs") or [""])[0] != spec["podCIDR"]:
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    status = obj.get("status") or {}
    if status.get("allocatable") is None and status.get("capacity") is not None:
        status["allocatable"] = dict(status["capacity"])
    amounts(status.get("capacity"))
    amounts(status.get("allocatable"))


@defaults("", "LimitRange")
def limit_range(obj: Object) -> None:
    """For containers the maximum is the default limit, and that, or the minimum, the default request."""
    for item in spec_of(obj).get("limits") or []:
        if item.get("type") == "Container":
            limits, requests = dict(item.get("default") or {}), dict(item.get("defaultRequest") or {})
            for name, amount in (item.get("max") or {}).items():
                limits.setdefault(name, amount)
            for source in (limits, item.get("min") or {}):
                for name, amount in source.items():
                    requests.setdefault(name, amount)
            item |= {"default": limits} if limits else {}
            item |= {"defaultRequest": requests} if requests else {}
        for key in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
            amounts(item.get(key))


@defaults("", "ResourceQuota")
def resource_quota(obj: Object) -> None:
    amounts(spec_of(obj).get("hard"))
    status = obj.get("status") or {}
    amounts(status.get("hard"))
    amounts(status.get("used"))
