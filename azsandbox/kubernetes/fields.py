"""Which fields each kind can be selected by. Source: the ToSelectableFields of pkg/registry and the field label
conversions of pkg/apis, Kubernetes 1.35."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.selectors import FieldSelector, split_fields

if TYPE_CHECKING:
    from azsandbox.kubernetes.resources import Resource

Getter = Callable[[Object], str]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def at(path: str, default: str = "") -> Getter:
    """Reads a dotted path as text; `default` where it is not there."""
    parts = path.split(".")

    def get(obj: Object) -> str:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else _text(value)

    return get


def _host_network(obj: Object) -> str:
    return _text(bool((obj.get("spec") or {}).get("hostNetwork")))


_EVENT: dict[str, Getter] = {
    **{
        f"involvedObject.{part}": at(f"involvedObject.{part}")
        for part in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    },
    "reason": at("reason"),
    "reportingComponent": at("reportingComponent"),
    "source": lambda obj: at("source.component")(obj) or at("reportingComponent")(obj),
    "type": at("type"),
}
_REGARDING: dict[str, Getter] = {
    **{
        f"regarding.{part}": at(f"regarding.{part}")
        for part in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    },
    "reason": at("reason"),
    "reportingController": at("reportingController"),
    "type": at("type"),
}

# resource → its own fields; these kinds answer an unknown field with "field label not supported"
OWN: dict[str, dict[str, Getter]] = {
    "pods": {
        "spec.nodeName": at("spec.nodeName"),
        "spec.restartPolicy": at("spec.restartPolicy"),
        "spec.schedulerName": at("spec.schedulerName"),
        "spec.serviceAccountName": at("spec.serviceAccountName"),
        "spec.hostNetwork": _host_network,
        "status.phase": at("status.phase"),
        "status.podIP": at("status.podIP"),
        "status.podIPs": at("status.podIP"),
        "status.nominatedNodeName": at("status.nominatedNodeName"),
    },
    "nodes": {"spec.unschedulable": at("spec.unschedulable", "false")},
    "replicationcontrollers": {"status.replicas": at("status.replicas", "0")},
    "events": _EVENT,
    "events.events.k8s.io": _REGARDING,
    "namespaces": {"status.phase": at("status.phase"), "name": at("metadata.name")},
    "secrets": {"type": at("type")},
    "services": {"spec.clusterIP": at("spec.clusterIP"), "spec.type": at("spec.type")},
    "jobs.batch": {"status.successful": at("status.succeeded", "0")},
    "certificatesigningrequests.certificates.k8s.io": {"spec.signerName": at("spec.signerName")},
    "resourceslices.resource.k8s.io": {"spec.nodeName": at("spec.nodeName"), "spec.driver": at("spec.driver")},
}


def parse_fields(text: str, resource: Resource) -> FieldSelector:
    """Parses a fieldSelector parameter for a resource. Raises 400 for a field that it has not."""
    getters: dict[str, Getter] = {"metadata.name": at("metadata.name"), "metadata.namespace": at("metadata.namespace")}
    own = resource.selectable if resource.custom else OWN.get(resource.qualified)
    if resource.custom:
        getters |= {path.lstrip("."): at(path.lstrip(".")) for path in resource.selectable}
    elif own:
        getters |= own  # type: ignore[arg-type]
    if resource.qualified == "events.events.k8s.io":
        getters |= {f"involvedObject.{k.partition('.')[2]}": g for k, g in _REGARDING.items() if "." in k}
    requirements = split_fields(text)
    for requirement in requirements:
        if requirement.field in getters:
            continue
        if resource.custom:
            raise errors.bad_request(f"field label not supported: {requirement.field}")
        if own is not None:
            raise errors.bad_request(_unsupported(resource, requirement.field))
        raise errors.bad_request(
            f'"{requirement.field}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        )
    return FieldSelector(requirements, getters)


def _unsupported(resource: Resource, field: str) -> str:
    """Each of these kinds has a conversion function of its own, and some word it their own way."""
    if resource.qualified == "jobs.batch":
        return f'field label "{field}" not supported for Job'
    return f"field label not supported: {field}"
