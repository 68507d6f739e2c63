"""Manifests as Flux sends them: read into Go's types and written again (fluxcd/pkg/ssa/normalize).

So unknown fields of built-in kinds are dropped, and structs that Go never leaves out (`resources`, `strategy`) are
sent, and owned, although no manifest has them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.schema.definitions import Type, definitions
from azsandbox.kubernetes.schema.typed_values import DecodeError, normalize

# Groups that the API server has of itself and client-go's scheme has not
_NOT_CLIENT_GO = ("apiextensions.k8s.io", "apiregistration.k8s.io")
# Where the pod is in kinds whose ports get a protocol
_PODS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("apps", "Deployment"): ("spec", "template", "spec"),
    ("apps", "StatefulSet"): ("spec", "template", "spec"),
    ("apps", "DaemonSet"): ("spec", "template", "spec"),
    ("apps", "ReplicaSet"): ("spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}


def normalized(obj: Object) -> Object:
    """A manifest as Flux applies it. One that does not fit its Go type is left for the API server to refuse."""
    gvk = GroupVersionKind.of(obj)
    if gvk.group == "rbac.authorization.k8s.io" and gvk.version == "v1" and gvk.kind in ("Role", "ClusterRole"):
        return obj  # Go would write their rules differently (kustomize-controller, issue 1041)
    type_ = _type(gvk)
    result = dict(obj)
    if type_ is not None:
        try:
            result = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **normalize(type_, _without_text(gvk, obj))}
        except DecodeError:
            result = dict(obj)
        else:
            _protocols(gvk, result)
    metadata = result.get("metadata")
    if isinstance(metadata, dict) and "creationTimestamp" in metadata:
        result["metadata"] = {key: value for key, value in metadata.items() if key != "creationTimestamp"}
    if not (gvk.group == "apiextensions.k8s.io" and gvk.kind.lower() == "customresourcedefinition"):
        result.pop("status", None)
    return result


def _type(gvk: GroupVersionKind) -> Type | None:
    return None if gvk.group in _NOT_CLIENT_GO else definitions().type_of(gvk)


def _without_text(gvk: GroupVersionKind, obj: Object) -> Object:
    """A Secret with its stringData taken over into data, encoded as Go would; anything else as it is."""
    if (gvk.group, gvk.kind) != ("", "Secret"):
        return obj
    result = dict(obj)
    data, text = result.get("data"), result.get("stringData")
    if isinstance(data, dict):
        result["data"] = {key: _encoded_again(value) for key, value in data.items()}
    if isinstance(text, dict) and all(isinstance(value, str) for value in text.values()):
        del result["stringData"]
        added = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
        result["data"] = {**(result.get("data") or {}), **added}
    return result


def _encoded_again(value: Any) -> Any:
    """A Secret's value without the line breaks that Go's decoder skips."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64encode(base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)).decode()
    except (binascii.Error, ValueError):
        return value


def _protocols(gvk: GroupVersionKind, obj: Object) -> None:
    """Gives the ports of containers and Services the protocol that the API server would default."""
    if (gvk.group, gvk.kind) == ("", "Service"):
        _default_protocol((obj.get("spec") or {}).get("ports"))
        return
    pod: Any = obj
    for part in _PODS.get((gvk.group, gvk.kind), ()):
        pod = (pod or {}).get(part)
    if pod and pod is not obj:
        for container in pod.get("containers") or []:
            _default_protocol(container.get("ports"))


def _default_protocol(ports: list[Object] | None) -> None:
    for port in ports or []:
        if not port.get("protocol"):
            port["protocol"] = "TCP"
