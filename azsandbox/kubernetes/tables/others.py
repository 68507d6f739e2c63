"""Rows of networking, policy, scheduling, flow control and device resources."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.tables.cells import NONE, Row, age, more, name, selector, spec, status
from azsandbox.kubernetes.tables.core import balancer


def _ingress(obj: Object) -> list[Any]:
    rules = spec(obj).get("rules") or []
    hosts = [rule["host"] for rule in rules[:3] if rule.get("host")]
    text = ",".join(hosts) or "*"
    if hosts and len(rules) > 3:
        text = f"{text} + {len(rules) - 3} more..."
    ports = "80, 443" if spec(obj).get("tls") else "80"
    return [name(obj), spec(obj).get("ingressClassName", NONE), text, balancer(status(obj)), ports, age(obj)]


def _ingress_class(obj: Object) -> list[Any]:
    found = spec(obj).get("parameters")
    text = NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
        text = f"{found['kind']}{group}/{found['name']}"
    return [name(obj), spec(obj).get("controller", ""), text, age(obj)]


def _network_policy(obj: Object) -> list[Any]:
    return [name(obj), selector(spec(obj).get("podSelector") or {}), age(obj)]


def _service_cidr(obj: Object) -> list[Any]:
    return [name(obj), ",".join(spec(obj).get("cidrs") or ()), age(obj)]


def _ip_address(obj: Object) -> list[Any]:
    ref = spec(obj).get("parentRef")
    text = NONE
    if ref:
        resource = f"{ref.get('resource', '')}.{ref['group']}" if ref.get("group") else ref.get("resource", "")
        text = "/".join(part for part in (resource.lower(), ref.get("namespace", ""), ref.get("name", "")) if part)
    return [name(obj), text, age(obj)]


def _endpoint_slice(obj: Object) -> list[Any]:
    ports = [str(p["port"]) if p.get("port") is not None else p.get("name", "*") for p in obj.get("ports") or ()]
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [name(obj), obj.get("addressType", ""), more(ports) or UNSET_LIST, more(addresses) or UNSET_LIST, age(obj)]


UNSET_LIST = "<unset>"


def _budget(obj: Object) -> list[Any]:
    least, most = spec(obj).get("minAvailable"), spec(obj).get("maxUnavailable")
    return [
        name(obj),
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        status(obj).get("disruptionsAllowed", 0),
        age(obj),
    ]


def _priority_class(obj: Object) -> list[Any]:
    return [name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj), obj.get("preemptionPolicy", "")]


def _runtime_class(obj: Object) -> list[Any]:
    return [name(obj), obj.get("handler", ""), age(obj)]


def _lease(obj: Object) -> list[Any]:
    return [name(obj), spec(obj).get("holderIdentity", ""), age(obj)]


def _flow_schema(obj: Object) -> list[Any]:
    method = (spec(obj).get("distinguisherMethod") or {}).get("type", NONE)
    dangling = next((c["status"] for c in status(obj).get("conditions") or () if c["type"] == "Dangling"), "?")
    level = (spec(obj).get("priorityLevelConfiguration") or {}).get("name", "")
    return [name(obj), level, spec(obj).get("matchingPrecedence", 0), method, age(obj), dangling]


def _priority_level(obj: Object) -> list[Any]:
    limited = spec(obj).get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    return [
        name(obj),
        spec(obj).get("type", ""),
        limited.get("nominalConcurrencyShares", NONE),
        queuing.get("queues", NONE),
        queuing.get("handSize", NONE),
        queuing.get("queueLengthLimit", NONE),
        age(obj),
    ]


def _aged(obj: Object) -> list[Any]:
    return [name(obj), age(obj)]


def _resource_claim(obj: Object) -> list[Any]:
    found = status(obj)
    words = ["deleted"] if obj["metadata"].get("deletionTimestamp") else []
    if found.get("allocation") is None:
        words += [] if words else ["pending"]
    else:
        words.append("allocated")
        if found.get("reservedFor"):
            words.append("reserved")
    return [name(obj), ",".join(words), age(obj)]


def _resource_slice(obj: Object) -> list[Any]:
    found = spec(obj)
    return [
        name(obj),
        found.get("nodeName", ""),
        found.get("driver", ""),
        (found.get("pool") or {}).get("name", ""),
        age(obj),
    ]


ROWS: dict[str, Row] = {
    "ingresses.networking.k8s.io": _ingress,
    "ingressclasses.networking.k8s.io": _ingress_class,
    "networkpolicies.networking.k8s.io": _network_policy,
    "servicecidrs.networking.k8s.io": _service_cidr,
    "ipaddresses.networking.k8s.io": _ip_address,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "poddisruptionbudgets.policy": _budget,
    "priorityclasses.scheduling.k8s.io": _priority_class,
    "runtimeclasses.node.k8s.io": _runtime_class,
    "leases.coordination.k8s.io": _lease,
    "flowschemas.flowcontrol.apiserver.k8s.io": _flow_schema,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": _priority_level,
    "deviceclasses.resource.k8s.io": _aged,
    "resourceclaimtemplates.resource.k8s.io": _aged,
    "resourceclaims.resource.k8s.io": _resource_claim,
    "resourceslices.resource.k8s.io": _resource_slice,
}
