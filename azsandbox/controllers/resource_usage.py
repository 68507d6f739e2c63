"""What one object counts for in a ResourceQuota, and whether a quota's scopes cover it.

Pure. Source of the rules: Kubernetes 1.35, pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import annotations_of, time_of
from azsandbox.controllers.pods import is_terminal
from azsandbox.kubernetes.quality_of_service import quality_of_service
from azsandbox.kubernetes.quantity import Quantity

Usage = dict[str, Quantity]

_ONE = Quantity.of(1)
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
CORE = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
)
_POD_NAMES = frozenset(("pods", *_COMPUTE, *(f"requests.{n}" for n in _COMPUTE), *(f"limits.{n}" for n in _COMPUTE)))
_STORAGE_CLASS = ".storageclass.storage.k8s.io/"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def resource_of(name: str) -> tuple[str, str]:
    """Group and plural of the objects that a name in a quota counts; ("", "") if it counts none."""
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return group, plural
    if name in _POD_NAMES or name.startswith(("hugepages-", "requests.hugepages-")):
        return "", "pods"
    if name == "requests.storage" or _STORAGE_CLASS in name:
        return "", "persistentvolumeclaims"
    if name.startswith("requests."):
        return "", "pods"  # an extended resource
    if name.startswith("services."):
        return "", "services"
    return ("", name) if name in CORE else ("", "")


def usage_of(resource: str, group: str, obj: Object, now: dt.datetime) -> Usage:
    """What an object of a resource counts for."""
    count = f"count/{resource}.{group}" if group else f"count/{resource}"
    used: Usage = {count: _ONE}
    if group:
        return used
    if resource == "pods":
        if _counts(obj, now):
            used |= _pod(obj["spec"])
    elif resource == "persistentvolumeclaims":
        used |= _claim(obj)
    elif resource == "services":
        used |= _service(obj["spec"])
    elif resource in CORE:
        used[resource] = _ONE
    return used


def _counts(pod: Object, now: dt.datetime) -> bool:
    """Neither ended nor overdue to be gone."""
    if is_terminal(pod):
        return False
    deleted = time_of(pod["metadata"].get("deletionTimestamp"))
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    return deleted is None or grace is None or now <= deleted + dt.timedelta(seconds=grace)


def _pod(spec: Object) -> Usage:
    used: Usage = {"pods": _ONE}
    for name, amount in pod_amounts(spec, "requests").items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            used[name] = amount
            used[f"requests.{name}"] = amount
        elif "/" in name:
            used[f"requests.{name}"] = amount
    for name, amount in pod_amounts(spec, "limits").items():
        if name in _COMPUTE:
            used[f"limits.{name}"] = amount
    return used


def pod_amounts(spec: Object, kind: str) -> Usage:
    """Requests or limits of a pod: containers and sidecars together, or the largest init step, and overhead."""
    total: Usage = {}
    for container in spec.get("containers") or ():
        add(total, _amounts(container, kind))
    sidecars: Usage = {}
    largest: Usage = {}
    for container in spec.get("initContainers") or ():
        asked = _amounts(container, kind)
        if container.get("restartPolicy") == "Always":
            add(total, asked)
            add(sidecars, asked)
            step = dict(sidecars)
        else:
            step = add(dict(asked), sidecars)
        for name, amount in step.items():
            largest[name] = max(largest.get(name, Quantity.ZERO), amount)
    for name, amount in largest.items():
        total[name] = max(total.get(name, Quantity.ZERO), amount)
    total |= _amounts(spec, kind)
    for name, text in (spec.get("overhead") or {}).items():
        if kind == "requests" or name in total:
            add(total, {name: Quantity.parse(text)})
    return total


def _amounts(holder: Object, kind: str) -> Usage:
    return {n: Quantity.parse(q) for n, q in ((holder.get("resources") or {}).get(kind) or {}).items()}


def add(total: Usage, more: Usage) -> Usage:
    """Adds amounts. In place; returns `total`."""
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount
    return total


def _claim(claim: Object) -> Usage:
    spec = claim["spec"]
    used: Usage = {"persistentvolumeclaims": _ONE}
    storage_class = annotations_of(claim).get(_CLASS_ANNOTATION) or spec.get("storageClassName") or ""
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    allocated = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    amounts = [Quantity.parse(q) for q in (storage, allocated) if q is not None]
    if amounts:
        used["requests.storage"] = max(amounts)
    if storage_class:
        used[f"{storage_class}{_STORAGE_CLASS}persistentvolumeclaims"] = _ONE
        if amounts:
            used[f"{storage_class}{_STORAGE_CLASS}requests.storage"] = max(amounts)
    return used


def _service(spec: Object) -> Usage:
    ports = spec.get("ports") or []
    node_ports = balancers = 0
    if spec.get("type") == "NodePort":
        node_ports = len(ports)
    elif spec.get("type") == "LoadBalancer":
        balancers = 1
        allocates = spec.get("allocateLoadBalancerNodePorts") is not False
        node_ports = len(ports) if allocates else sum(bool(port.get("nodePort")) for port in ports)
    return {
        "services": _ONE,
        "services.loadbalancers": Quantity.of(balancers),
        "services.nodeports": Quantity.of(node_ports),
    }


def scopes_of(quota: Object) -> list[Object]:
    """A quota's scopes as requirements."""
    spec = quota["spec"]
    plain = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return plain + list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())


def in_scopes(resource: str, group: str, obj: Object, scopes: Iterable[Object]) -> bool:
    """Whether all scopes cover an object. But for pods and classes of claims, no object is in any scope."""
    return all(_in_scope(resource, group, obj, scope) for scope in scopes)


def _in_scope(resource: str, group: str, obj: Object, scope: Object) -> bool:
    name = scope["scopeName"]
    if (group, resource) == ("", "persistentvolumeclaims") and name == "VolumeAttributesClass":
        return _meets(scope, obj["spec"].get("volumeAttributesClassName") or "")
    if (group, resource) != ("", "pods"):
        return False
    spec = obj["spec"]
    terminating = spec.get("activeDeadlineSeconds", -1) >= 0
    best_effort = quality_of_service(spec) == "BestEffort"
    found = {
        "Terminating": terminating,
        "NotTerminating": not terminating,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "PriorityClass": _meets(scope, spec.get("priorityClassName") or ""),
        "CrossNamespacePodAffinity": _crosses_namespaces(spec),
    }
    return found.get(name, False)


def _meets(scope: Object, value: str) -> bool:
    operator, values = scope.get("operator", "Exists"), scope.get("values") or ()
    if operator == "In":
        return bool(value) and value in values
    if operator == "NotIn":
        return value not in values
    return bool(value) == (operator == "Exists")


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [term["podAffinityTerm"] for term in preferred]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
