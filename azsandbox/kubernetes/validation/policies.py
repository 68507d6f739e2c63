"""Validation of networking, access, scheduling, coordination and certificates."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import formats, metadata, scheduling
from azsandbox.kubernetes.validation.common import (
    cidr,
    formatted,
    ip_address,
    label_selector,
    named,
    one_of,
    supported,
    unchanged,
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
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.resource_names import requirements

_NETWORKING = "networking.k8s.io"
_RBAC = "rbac.authorization.k8s.io"
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_PATH_SUFFIXES = ("/..", "/.")


# --- networking


@on_create(_NETWORKING, "Ingress")
def ingress(obj: Object) -> Errors:
    found = _ingress(obj)
    spec = obj.get("spec") or {}
    annotation = ((obj.get("metadata") or {}).get("annotations") or {}).get(_CLASS_ANNOTATION)
    name = spec.get("ingressClassName")
    if annotation is not None and name is not None and annotation != name:
        text = "must match `ingressClassName` when both are specified"
        found.append(invalid(f"annotations.{_CLASS_ANNOTATION}", annotation, text))
    return found


@on_update(_NETWORKING, "Ingress")
def ingress_update(new: Object, old: Object) -> Errors:
    return _ingress(new)


def _ingress(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    rules, default = spec.get("rules") or [], spec.get("defaultBackend")
    found: Errors = []
    if not rules and default is None:
        text = "either `defaultBackend` or `rules` must be specified"
        found.append(invalid("spec", spec.get("rules"), text))
    if default is not None:
        found += _backend(default, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        here = f"spec.rules[{index}]"
        host = rule.get("host") or ""
        if host and formats.ip(host) is not None:
            found.append(invalid(f"{here}.host", host, "must be a DNS name, not an IP address"))
        if host:
            found += formatted(host, f"{here}.host", _host_format(host))
        if rule.get("http") is not None:
            paths = rule["http"].get("paths") or []
            found += [] if paths else [required(f"{here}.http.paths")]
            for place, path in enumerate(paths):
                found += _http_path(path, f"{here}.http.paths[{place}]")
    for index, tls in enumerate(spec.get("tls") or []):
        here = f"spec.tls[{index}]"
        for place, host in enumerate(tls.get("hosts") or []):
            found += formatted(host, f"{here}.hosts[{place}]", _host_format(host))
        if tls.get("secretName"):
            found += formatted(tls["secretName"], f"{here}.secretName", formats.dns_subdomain)
    if spec.get("ingressClassName") is not None:
        found += formatted(spec["ingressClassName"], "spec.ingressClassName", formats.dns_subdomain)
    return found


def _host_format(host: str) -> formats.Format:
    return formats.wildcard_subdomain if "*" in host else formats.dns_subdomain


def _http_path(item: Object, path: str) -> Errors:
    kind, text = item.get("pathType"), item.get("path") or ""
    here = f"{path}.path"
    if kind is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    found: Errors = []
    absolute = invalid(here, text, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        found += [] if text.startswith("/") else [absolute]
        found += [invalid(here, text, f"must not contain '{part}'") for part in _PATH_SEQUENCES if part in text]
        found += [invalid(here, text, f"cannot end with '{end}'") for end in _PATH_SUFFIXES if text.endswith(end)]
    elif kind == "ImplementationSpecific":
        found += [absolute] if text and not text.startswith("/") else []
    else:
        found.append(not_supported(f"{path}.pathType", kind, ("Exact", "ImplementationSpecific", "Prefix")))
    return found + _backend(item.get("backend") or {}, f"{path}.backend")


def _backend(backend: Object, path: str) -> Errors:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _typed_reference(resource, f"{path}.resource")
    if service is None:
        return [invalid(path, "", "resource or service backend is required")]
    found = named(service.get("name"), f"{path}.service.name", formats.dns_1035_label)
    port = service.get("port") or {}
    name, number = port.get("name") or "", port.get("number") or 0
    if name and number:
        found.append(invalid(path, "", "cannot set both port name & port number"))
    elif name:
        found += formatted(name, f"{path}.service.port.name", formats.port_name)
    elif number:
        found += [invalid(f"{path}.service.port.number", number, text) for text in formats.port_number(number)]
    else:
        found.append(required(path, "port name or number is required"))
    return found


def _typed_reference(reference: Object, path: str) -> Errors:
    found: Errors = []
    if reference.get("apiGroup") is not None:
        found += formatted(reference["apiGroup"], f"{path}.apiGroup", formats.dns_subdomain)
    for key in ("kind", "name"):
        found += named(reference.get(key), f"{path}.{key}", formats.path_segment)
    return found


@on_update(_NETWORKING, "Ingress", subresource="status")
def ingress_status(new: Object, old: Object) -> Errors:
    found: Errors = []
    items = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    for index, item in enumerate(items):
        here = f"status.loadBalancer.ingress[{index}]"
        if item.get("ip"):
            found += ip_address(item["ip"], f"{here}.ip")
        if item.get("hostname"):
            found += formatted(item["hostname"], f"{here}.hostname", formats.dns_subdomain)
            if formats.ip(item["hostname"]) is not None:
                text = "must be a DNS name, not an IP address"
                found.append(invalid(f"{here}.hostname", item["hostname"], text))
    return found


def domain_path(value: str, path: str) -> Errors:
    """`domain/path`, as controllers name themselves."""
    if not value:
        return [required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        return [invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = [invalid(path, host, text) for text in formats.dns_subdomain(host)]
    return found if formats.http_path(rest) else [*found, invalid(path, rest, formats.invalid_http_path_text())]


@on_create(_NETWORKING, "IngressClass")
def ingress_class(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    controller = spec.get("controller") or ""
    found = [too_long("spec.controller", 250)] if len(controller) > 250 else []
    found += domain_path(controller, "spec.controller")
    parameters = spec.get("parameters")
    if parameters is None:
        return found
    path = "spec.parameters"
    found += _typed_reference(parameters, path)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        return [*found, required(f"{path}.scope")]
    if scope not in ("Cluster", "Namespace"):
        return [*found, not_supported(f"{path}.scope", scope, ("Cluster", "Namespace"))]
    if scope == "Namespace" and namespace is None:
        found.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    elif scope == "Namespace":
        found += formatted(namespace or "", f"{path}.namespace", formats.dns_label)
    if scope == "Cluster" and namespace is not None:
        found.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return found


@on_update(_NETWORKING, "IngressClass")
def ingress_class_update(new: Object, old: Object) -> Errors:
    one, other = ((each.get("spec") or {}).get("controller") or "" for each in (new, old))
    found = unchanged(one, other, "spec.controller")
    return found + ingress_class(new)


@on_create(_NETWORKING, "NetworkPolicy")
def network_policy(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = label_selector(spec.get("podSelector"), "spec.podSelector")
    for key, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(key) or []):
            here = f"spec.{key}[{index}]"
            for place, port in enumerate(rule.get("ports") or []):
                found += _policy_port(port, f"{here}.ports[{place}]")
            for place, peer in enumerate(rule.get(peers) or []):
                found += _policy_peer(peer, f"{here}.{peers}[{place}]")
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        return [*found, invalid("spec.policyTypes", types, "may not specify more than two policyTypes")]
    for index, kind in enumerate(types):
        found += supported(kind, f"spec.policyTypes[{index}]", ("Ingress", "Egress"))
    return found


@on_update(_NETWORKING, "NetworkPolicy")
def network_policy_update(new: Object, old: Object) -> Errors:
    return network_policy(new) * 2  # Kubernetes judges the spec twice


def _policy_port(item: Object, path: str) -> Errors:
    found: Errors = []
    port, end = item.get("port"), item.get("endPort")
    if item.get("protocol") is not None:
        found += supported(item["protocol"], f"{path}.protocol", ("TCP", "UDP", "SCTP"))
    if isinstance(port, str):
        if end is not None:
            found.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        return found + formatted(port, f"{path}.port", formats.port_name)
    if port is None:
        text = "may not be specified when `port` is not specified"
        return found if end is None else [*found, invalid(f"{path}.endPort", end, text)]
    found += [invalid(f"{path}.port", port, text) for text in formats.port_number(port)]
    if end is not None:
        if end < port:
            found.append(invalid(f"{path}.endPort", port, "must be greater than or equal to `port`"))
        found += [invalid(f"{path}.endPort", end, text) for text in formats.port_number(end)]
    return found


def _policy_peer(peer: Object, path: str) -> Errors:
    found: Errors = []
    count = 0
    for key in ("podSelector", "namespaceSelector"):
        if peer.get(key) is not None:
            count += 1
            found += label_selector(peer[key], f"{path}.{key}")
    block = peer.get("ipBlock")
    if block is not None:
        count += 1
        found += _ip_block(block, f"{path}.ipBlock")
    if count == 0:
        found.append(required(path, "must specify a peer"))
    elif count > 1 and block is not None:
        found.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return found


def _ip_block(block: Object, path: str) -> Errors:
    text = block.get("cidr") or ""
    if not text:
        return [required(f"{path}.cidr")]
    found = cidr(text, f"{path}.cidr")
    whole = formats.cidr(text)
    if whole is None:
        return found
    for index, each in enumerate(block.get("except") or []):
        here = f"{path}.except[{index}]"
        found += cidr(each, here)
        part = formats.cidr(each)
        if part is not None and not _strictly_within(part.network, whole.network):
            found.append(invalid(here, each, "must be a strict subset of `cidr`"))
    return found


def _strictly_within(part: Any, whole: Any) -> bool:
    return part.version == whole.version and part.prefixlen > whole.prefixlen and part.subnet_of(whole)


# --- access


@on_create(_RBAC, "Role")
def role(obj: Object) -> Errors:
    return _policy_rules(obj, namespaced=True)


@on_create(_RBAC, "ClusterRole")
def cluster_role(obj: Object) -> Errors:
    found = _policy_rules(obj, namespaced=False)
    aggregation, path = obj.get("aggregationRule"), "aggregationRule.clusterRoleSelectors"
    if aggregation is not None:
        selectors = aggregation.get("clusterRoleSelectors") or []
        text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        found += [] if selectors else [required(path, text)]
        for index, selector in enumerate(selectors):
            faults = label_selector(selector, f"{path}[{index}]")
            if faults:
                faults.append(invalid(f"{path}[{index}]", None, "invalid label selector."))
            found += faults
    return found


def _policy_rules(obj: Object, *, namespaced: bool) -> Errors:
    found: Errors = []
    for index, rule in enumerate(obj.get("rules") or []):
        here = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(required(f"{here}.verbs", "verbs must contain at least one value"))
        urls = rule.get("nonResourceURLs") or []
        if urls:
            path = f"{here}.nonResourceURLs"
            if namespaced:
                found.append(invalid(path, urls, "namespaced rules cannot apply to non-resource URLs"))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(invalid(path, urls, text))
            continue
        if not rule.get("apiGroups"):
            found.append(required(f"{here}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            found.append(required(f"{here}.resources", "resource rules must supply at least one resource"))
    return found


on_update(_RBAC, "Role")(lambda new, old: role(new))
on_update(_RBAC, "ClusterRole")(lambda new, old: cluster_role(new))


@on_create(_RBAC, "RoleBinding")
def role_binding(obj: Object) -> Errors:
    return _binding(obj, namespaced=True)


@on_create(_RBAC, "ClusterRoleBinding")
def cluster_role_binding(obj: Object) -> Errors:
    return _binding(obj, namespaced=False)


def _binding(obj: Object, *, namespaced: bool) -> Errors:
    reference = obj.get("roleRef") or {}
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    found = supported(reference.get("apiGroup"), "roleRef.apiGroup", (_RBAC,))
    found += supported(reference.get("kind"), "roleRef.kind", kinds)
    found += named(reference.get("name"), "roleRef.name", formats.path_segment)
    for index, subject in enumerate(obj.get("subjects") or []):
        found += _subject(subject, f"subjects[{index}]", namespaced)
    return found


def _subject(subject: Object, path: str, namespaced: bool) -> Errors:
    kind, name, group = subject.get("kind") or "", subject.get("name") or "", subject.get("apiGroup") or ""
    found = [] if name else [required(f"{path}.name")]
    if kind == "ServiceAccount":
        found += formatted(name, f"{path}.name", formats.dns_subdomain) if name else []
        found += [not_supported(f"{path}.apiGroup", group, ("",))] if group else []
        if not namespaced and not subject.get("namespace"):
            found.append(required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        found += supported(group, f"{path}.apiGroup", (_RBAC,))
    else:
        found.append(not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))
    return found


@on_update(_RBAC, "RoleBinding")
def role_binding_update(new: Object, old: Object) -> Errors:
    return role_binding(new) + _reference_kept(new, old)


@on_update(_RBAC, "ClusterRoleBinding")
def cluster_role_binding_update(new: Object, old: Object) -> Errors:
    return cluster_role_binding(new) + _reference_kept(new, old)


def _reference_kept(new: Object, old: Object) -> Errors:
    one, other = ((each.get("roleRef") or {}) for each in (new, old))
    if same(one, other):
        return []
    shown = {name: one.get(key) or "" for name, key in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))}
    return [invalid("roleRef", shown, "cannot change roleRef")]


# --- scheduling, nodes, coordination

_HIGHEST_USER_PRIORITY = 1_000_000_000
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


@on_create("scheduling.k8s.io", "PriorityClass")
def priority_class(obj: Object) -> Errors:
    name, value = obj["metadata"].get("name") or "", obj.get("value") or 0
    found: Errors = []
    if name.startswith("system-"):
        error = _system_priority(name, value, bool(obj.get("globalDefault")))
        if error:
            text = f"priority class names with 'system-' prefix are reserved for system use only. error: {error}"
            found.append(forbidden("metadata.name", text))
    elif value > _HIGHEST_USER_PRIORITY:
        text = f"maximum allowed value of a user defined priority is {_HIGHEST_USER_PRIORITY}"
        found.append(forbidden("value", text))
    if obj.get("preemptionPolicy") is not None:
        found += one_of(obj["preemptionPolicy"], "preemptionPolicy", ("PreemptLowerPriority", "Never"))
    return found


def _system_priority(name: str, value: int, default: bool) -> str:
    if name not in _SYSTEM_PRIORITIES:
        return f"{name} is not a known system priority class"
    if value != _SYSTEM_PRIORITIES[name]:
        return f"value of {name} PriorityClass must be {_SYSTEM_PRIORITIES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if default else ""


@on_update("scheduling.k8s.io", "PriorityClass")
def priority_class_update(new: Object, old: Object) -> Errors:
    found: Errors = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        found.append(forbidden("value", "may not be changed in an update."))
    return found + unchanged(new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy")


@on_create("node.k8s.io", "RuntimeClass")
def runtime_class(obj: Object) -> Errors:
    found = formatted(obj.get("handler") or "", "handler", formats.dns_label)
    overhead = (obj.get("overhead") or {}).get("podFixed")
    if overhead:
        found += requirements({"limits": overhead}, frozenset(), "overhead")
    rules = obj.get("scheduling") or {}
    found += metadata.labels(rules.get("nodeSelector"), "scheduling.nodeSelector")
    tolerations = rules.get("tolerations") or []
    found += scheduling.tolerations(tolerations, "scheduling.tolerations")
    seen: list[tuple[Any, ...]] = []
    for index, item in enumerate(tolerations):
        key = tuple(item.get(name) for name in ("key", "operator", "value", "effect"))
        if key in seen:
            found.append(duplicate(f"scheduling.tolerations[{index}]", internal.shown(item, "core.Toleration")))
        seen.append(key)
    return found


@on_update("node.k8s.io", "RuntimeClass")
def runtime_class_update(new: Object, old: Object) -> Errors:
    return unchanged(new.get("handler"), old.get("handler"), "handler")


@on_create("coordination.k8s.io", "Lease")
def lease(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found: Errors = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        found.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        found.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return found


on_update("coordination.k8s.io", "Lease")(lambda new, old: lease(new))


# --- certificates
