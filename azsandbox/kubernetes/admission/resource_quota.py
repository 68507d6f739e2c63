"""ResourceQuota: what the objects of a namespace may use together.

Use is counted in the quota's status, by optimistic writes, before an object comes in; a controller corrects it after
deletions. Rules: k8s.io/apiserver, plugin resourcequota; k8s.io/kubernetes, pkg/quota/v1/evaluator.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.pod_resources import Amounts, pod_limits, pod_requests
from azsandbox.kubernetes.quality_of_service import quality_of_service
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.resource_names import is_native

_ONE = Quantity.of(1)
_ALIASES = frozenset({"configmaps", "resourcequotas", "replicationcontrollers", "secrets"})
_IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})
_MUST_SPECIFY = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_POD_NAMES = _MUST_SPECIFY | {
    "pods",
    "count/pods",
    "ephemeral-storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
}
_ATTEMPTS = 3
_CLASS_BETA = "volume.beta.kubernetes.io/storage-class"


class ResourceQuota(Plugin):
    """Refuses what exceeds a quota, and counts what comes in."""

    async def validate(self, attrs: Attributes) -> None:
        if not attrs.namespace or attrs.operation not in (CREATE, UPDATE) or attrs.obj is None or not _handled(attrs):
            return
        for attempt in range(_ATTEMPTS):
            changed = self._check(attrs, self.server.peek_list("resourcequotas", attrs.namespace))
            if attrs.dry_run or not changed:
                return
            try:
                for quota in changed:
                    resource = self.server.resource("resourcequotas")
                    self.server.registry.replace(resource, quota, quota["metadata"]["resourceVersion"])
                return
            except StatusError:
                if attempt == _ATTEMPTS - 1:
                    raise

    def _check(self, attrs: Attributes, quotas: list[Object]) -> list[Object]:
        """The quotas with the use that they will have; those that do not change are left out."""
        obj = attrs.obj or {}
        use = usage(attrs.resource.group, attrs.resource.name, obj)
        matching = []
        for quota in quotas:
            hard = _amounts((quota.get("status") or {}).get("hard"))
            names = sorted(name for name in hard if _concerns(attrs, name, use))
            if not names or not scopes_match(quota, attrs, obj):
                continue
            self._must_specify(attrs, quota, names, obj)
            used = (quota.get("status") or {}).get("used") or {}
            if any(name not in used for name in names):
                listed = ",".join(names)
                raise attrs.forbidden(f"status unknown for quota: {quota['metadata']['name']}, resources: {listed}")
            matching.append((quota, hard))
        changed = []
        for quota, hard in matching:
            delta = self._delta(attrs, quota, use)
            requested = {name: amount for name, amount in delta.items() if name in hard}
            if not requested:
                continue
            changed.append(_with_use(attrs, quota, hard, requested))
        return changed

    def _delta(self, attrs: Attributes, quota: Object, use: Amounts) -> Amounts:
        delta = dict(use)
        if attrs.operation == UPDATE and attrs.old is not None and scopes_match(quota, attrs, attrs.old):
            before = usage(attrs.resource.group, attrs.resource.name, attrs.old)
            delta = {name: amount - before.get(name, Quantity.ZERO) for name, amount in use.items()}
        return {name: amount for name, amount in delta.items() if amount > Quantity.ZERO}

    @staticmethod
    def _must_specify(attrs: Attributes, quota: Object, names: list[str], obj: Object) -> None:
        """A quota on a compute resource asks every container to say how much it uses."""
        if not attrs.of("", "Pod"):
            return
        spec = obj.get("spec") or {}
        if (spec.get("resources") or {}).get("requests") or (spec.get("resources") or {}).get("limits"):
            return
        missing: dict[str, set[str]] = {}
        for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
            resources = container.get("resources") or {}
            given = _compute(_amounts(resources.get("requests")), _amounts(resources.get("limits")))
            for name in _MUST_SPECIFY.intersection(names) - given.keys():
                missing.setdefault(name, set()).add(container.get("name") or "")
        if missing:
            said = "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
            raise attrs.forbidden(f"failed quota: {quota['metadata']['name']}: must specify {said}")


def _handled(attrs: Attributes) -> bool:
    key = (attrs.resource.group, attrs.resource.name)
    if key in _IGNORED:
        return False
    if key == ("", "pods"):
        return attrs.operation == CREATE if not attrs.subresource else attrs.subresource == "resize"
    if attrs.subresource:
        return False
    return attrs.operation == CREATE or key in (("", "services"), ("", "persistentvolumeclaims"))


def _concerns(attrs: Attributes, name: str, use: Mapping[str, Quantity]) -> bool:
    if attrs.of("", "Pod"):
        return name in _POD_NAMES or name in use or name.startswith(("hugepages-", "requests.hugepages-"))
    return name in use


def _amounts(values: Object | None) -> Amounts:
    return {name: Quantity.parse(text) for name, text in (values or {}).items()}


def _with_use(attrs: Attributes, quota: Object, hard: Amounts, requested: Amounts) -> Object:
    used = _amounts((quota.get("status") or {}).get("used"))
    after = {name: used.get(name, Quantity.ZERO) + amount for name, amount in requested.items()}
    exceeded = [name for name, amount in after.items() if amount > hard[name]]
    if exceeded:
        parts = [_shown(amounts, exceeded) for amounts in (requested, used, hard)]
        name = quota["metadata"]["name"]
        said = f"exceeded quota: {name}, requested: {parts[0]}, used: {parts[1]}, limited: {parts[2]}"
        raise attrs.forbidden(said)
    changed = copy.deepcopy(quota)
    changed["status"]["used"] = {**changed["status"]["used"], **{name: str(amount) for name, amount in after.items()}}
    return changed


def _shown(amounts: Amounts, names: list[str]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in sorted(names) if name in amounts)


def usage(group: str, resource: str, obj: Object) -> Amounts:
    """What one object uses of the resources that quotas know."""
    qualified = f"{resource}.{group}" if group else resource
    use = {f"count/{qualified}": _ONE}
    if group:
        return use
    if resource == "pods":
        return use | _pod_use(obj)
    if resource == "services":
        return use | _service_use(obj)
    if resource == "persistentvolumeclaims":
        return use | _claim_use(obj)
    return use | ({resource: _ONE} if resource in _ALIASES else {})


def _pod_use(pod: Object) -> Amounts:
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return {}
    spec = pod.get("spec") or {}
    return {"pods": _ONE} | _compute(pod_requests(spec), pod_limits(spec))


def _compute(requests: Amounts, limits: Amounts) -> Amounts:
    use: Amounts = {}
    for name, amount in requests.items():
        if name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-"):
            use[name] = use[f"requests.{name}"] = amount
        elif not is_native(name):
            use[f"requests.{name}"] = amount
    for name in ("cpu", "memory", "ephemeral-storage"):
        if name in limits:
            use[f"limits.{name}"] = limits[name]
    return use


def _service_use(service: Object) -> Amounts:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or []
    node_ports = 0
    if kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False):
        node_ports = len(ports)
    elif kind == "LoadBalancer":
        node_ports = sum(1 for port in ports if port.get("nodePort"))
    return {
        "services": _ONE,
        "services.nodeports": Quantity.of(node_ports),
        "services.loadbalancers": Quantity.of(int(kind == "LoadBalancer")),
    }


def _claim_use(claim: Object) -> Amounts:
    spec = claim.get("spec") or {}
    annotations = (claim.get("metadata") or {}).get("annotations") or {}
    name = annotations.get(_CLASS_BETA) or spec.get("storageClassName") or ""
    use = {"persistentvolumeclaims": _ONE}
    prefix = f"{name}.storageclass.storage.k8s.io/"
    if name:
        use[f"{prefix}persistentvolumeclaims"] = _ONE
    amounts = [
        Quantity.parse(source["storage"])
        for source in (
            (spec.get("resources") or {}).get("requests") or {},
            (claim.get("status") or {}).get("allocatedResources") or {},
        )
        if source.get("storage") is not None
    ]
    if amounts:
        storage = max(amounts)
        use["requests.storage"] = storage
        if name:
            use[f"{prefix}requests.storage"] = storage
    return use


def scopes_match(quota: Object, attrs: Attributes | None, obj: Object) -> bool:
    """Whether all scopes of a quota are those of an object. Only pods and claims have any."""
    spec = quota.get("spec") or {}
    selectors = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or []]
    selectors += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    kind = attrs.resource.kind if attrs is not None else obj.get("kind")
    if kind == "Pod":
        return all(_in_scope(selector, obj) for selector in selectors)
    if kind == "PersistentVolumeClaim":
        return all(_claim_in_scope(selector, obj) for selector in selectors)
    return not selectors


def _in_scope(selector: Object, pod: Object) -> bool:
    spec, scope = pod.get("spec") or {}, selector.get("scopeName")
    if scope in ("Terminating", "NotTerminating"):
        terminating = spec.get("activeDeadlineSeconds") is not None and spec["activeDeadlineSeconds"] >= 0
        return terminating == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (quality_of_service(spec) == "BestEffort") == (scope == "BestEffort")
    if scope == "PriorityClass":
        return _selected(selector, spec.get("priorityClassName") or "")
    if scope == "CrossNamespacePodAffinity":
        return _crosses_namespaces(spec)
    return False


def _claim_in_scope(selector: Object, claim: Object) -> bool:
    name = (claim.get("spec") or {}).get("volumeAttributesClassName") or ""
    return selector.get("scopeName") == "VolumeAttributesClass" and _selected(selector, name)


def _selected(selector: Object, name: str) -> bool:
    values = selector.get("values") or []
    match selector.get("operator"):
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
        case "In":
            return bool(name) and name in values
        case _:
            return name not in values


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for key in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(key) or {}
        terms = list(part.get("requiredDuringSchedulingIgnoredDuringExecution") or [])
        preferred = part.get("preferredDuringSchedulingIgnoredDuringExecution") or []
        terms += [item.get("podAffinityTerm") or {} for item in preferred]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
