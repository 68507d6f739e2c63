"""Validation of Services."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.common import (
    PROTOCOLS,
    cidr,
    formatted,
    ip_address,
    named,
    one_of,
    port_number_or_name,
    supported,
)
from azsandbox.kubernetes.validation.endpoints import endpoint_ip
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_AFFINITY_LIMIT = 86400  # seconds
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def _headless(spec: Object) -> bool:
    return bool((spec.get("clusterIPs") or []) == ["None"])


@on_create("", "Service")
def create(obj: Object) -> Errors:
    return _service(obj, None)


@on_update("", "Service")
def update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = _addresses_kept(spec, before) + _families_kept(spec, before)
    found += _class(spec, before)
    moved = spec.get("healthCheckNodePort") != before.get("healthCheckNodePort")
    if moved and _checks_health(spec) and _checks_health(before):
        found.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return found + _service(new, old)


def _service(obj: Object, old: Object | None) -> Errors:
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type") or "", spec.get("ports") or []
    found: Errors = []
    if not ports and not _headless(spec) and kind != "ExternalName":
        found.append(required("spec.ports"))
    found += _by_type(spec, kind)
    names: set[str] = set()
    for index, port in enumerate(ports):
        found += _port(port, len(ports) > 1, names, f"spec.ports[{index}]")
    found += metadata.labels(spec.get("selector"), "spec.selector")
    found += one_of(spec.get("sessionAffinity"), "spec.sessionAffinity", ("ClientIP", "None"))
    found += _affinity(spec)
    found += cluster_addresses(spec, (old or {}).get("spec") if old else None)
    for index, address in enumerate(spec.get("externalIPs") or []):
        here = f"spec.externalIPs[{index}]"
        found += ip_address(address, here) or endpoint_ip(address, here)
    found += one_of(kind, "spec.type", _TYPES)
    found += _node_ports(kind, ports) + _same_ports(ports)
    found += _source_ranges(obj, spec, kind)
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        found.append(forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCED))
    found += _class(spec, None)
    return found + _traffic(spec, kind)


def _by_type(spec: Object, kind: str) -> Errors:
    if kind in ("LoadBalancer", "NodePort"):
        text = f"may not be set to 'None' for {kind} services"
        return [invalid("spec.clusterIPs[0]", "None", text)] if _headless(spec) else []
    if kind != "ExternalName":
        return []
    text = "may not be set for ExternalName services"
    found = [forbidden(f"spec.{key}", text) for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy") if spec.get(key)]
    name = (spec.get("externalName") or "").removesuffix(".")
    return found + named(name, "spec.externalName", formats.dns_subdomain)


def _port(port: Object, needs_name: bool, names: set[str], path: str) -> Errors:
    found: Errors = []
    name = port.get("name") or ""
    if needs_name and not name:
        found.append(required(f"{path}.name"))
    elif name:
        found += formatted(name, f"{path}.name", formats.dns_label)
        if name in names:
            found.append(duplicate(f"{path}.name", name))
        names.add(name)
    number = port.get("port") or 0
    found += [invalid(f"{path}.port", number, text) for text in formats.port_number(number)]
    found += one_of(port.get("protocol"), f"{path}.protocol", PROTOCOLS)
    found += port_number_or_name(port.get("targetPort"), f"{path}.targetPort")
    if port.get("appProtocol") is not None:
        found += formatted(port["appProtocol"], f"{path}.appProtocol", formats.qualified_name)
    return found


def _affinity(spec: Object) -> Errors:
    path, config = "spec.sessionAffinityConfig", spec.get("sessionAffinityConfig")
    if spec.get("sessionAffinity") == "None":
        text = "must not be set when session affinity is None"
        return [] if config is None else [forbidden(path, text)]
    if spec.get("sessionAffinity") != "ClientIP":
        return []
    text = "when session affinity type is ClientIP"
    if config is None:
        return [required(path, text)]
    client = config.get("clientIP")
    if client is None:
        return [required(f"{path}.clientIP", text)]
    seconds = client.get("timeoutSeconds")
    if seconds is None:
        return [required(f"{path}.clientIP.timeoutSeconds", text)]
    if 0 < seconds <= _AFFINITY_LIMIT:
        return []
    said = f"must be greater than 0 and less than {_AFFINITY_LIMIT}"
    return [invalid(f"{path}.clientIP.timeoutSeconds", seconds, said)]


def cluster_addresses(spec: Object, before: Object | None) -> Errors:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy, each and together."""
    if spec.get("type") == "ExternalName":
        return []
    found: Errors = []
    path, addresses = "spec.clusterIPs", spec.get("clusterIPs") or []
    address, families = spec.get("clusterIP") or "", spec.get("ipFamilies") or []
    if address:
        if not addresses:
            found.append(required(path))
        elif addresses[0] != address:
            found.append(invalid(path, addresses, "first value must match `clusterIP`"))
    elif addresses:
        found.append(invalid(path, addresses, "must be empty when `clusterIP` is not specified"))
    for index, family in enumerate(families):
        if family not in _FAMILIES:
            found.append(not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES))
        if family in families[:index]:
            found.append(duplicate(f"spec.ipFamilies[{index}]", family))
    if spec.get("ipFamilyPolicy") is not None:
        found += supported(spec["ipFamilyPolicy"], "spec.ipFamilyPolicy", _POLICIES)
    bad = False
    for index, each in enumerate(addresses):
        if index == 0 and each == "None":
            if len(addresses) > 1:
                bad = True
                found.append(invalid(path, addresses, "'None' must be the first and only value"))
            continue
        faults = ip_address(each, f"{path}[{index}]")
        bad = bad or bool(faults)
        found += faults
    if len(addresses) > 2:
        found.append(invalid(path, addresses, "may only hold up to 2 values"))
    return found if bad else found + _address_families(spec, addresses, families)


def _address_families(spec: Object, addresses: list[str], families: list[str]) -> Errors:
    if _headless(spec):
        return []
    found: Errors = []
    if len(addresses) > 1 and len({":" in each for each in addresses}) < 2:
        found.append(invalid("spec.clusterIPs", addresses, "may specify no more than one IP for each IP family"))
    for index, (each, family) in enumerate(zip(addresses, families, strict=False)):
        if (family == "IPv6") != (":" in each):
            text = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            found.append(invalid(f"spec.clusterIPs[{index}]", each, text))
    return found


def _addresses_kept(spec: Object, before: Object) -> Errors:
    if "ExternalName" in (spec.get("type"), before.get("type")) or (_headless(spec) and _headless(before)):
        return []
    new, old = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
    text = "may not change once set"
    if len(new) == len(old):
        return [invalid(f"spec.clusterIPs[{index}]", new, text) for index, each in enumerate(old) if each != new[index]]
    found: Errors = []
    if not new:
        found.append(invalid("spec.clusterIPs[0]", None, "primary clusterIP can not be unset"))
    elif old and new[0] != old[0]:
        found.append(invalid("spec.clusterIPs[0]", new, text))
    if len(old) > len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        said = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        found.append(invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), said))
    return found


def _families_kept(spec: Object, before: Object) -> Errors:
    if "ExternalName" in (spec.get("type"), before.get("type")) or _headless(spec) or _headless(before):
        return []
    new, old = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
    path, text = "spec.ipFamilies[0]", "may not change once set"
    if len(new) == len(old):
        return [invalid(path, new, text) for one, other in zip(new, old, strict=True) if one != other]
    if new and old and new[0] != old[0]:
        return [invalid(path, spec.get("clusterIPs"), text)]
    if len(old) > len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        said = "must be set to 'SingleStack' when releasing the secondary ipFamily"
        return [invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), said)]
    return []


def _node_ports(kind: str, ports: list[Object]) -> Errors:
    found: Errors = []
    if kind == "ClusterIP":
        text = "may not be used when `type` is 'ClusterIP'"
        found += [
            forbidden(f"spec.ports[{index}].nodePort", text) for index, port in enumerate(ports) if port.get("nodePort")
        ]
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        if not port.get("nodePort"):
            continue
        key = (port.get("protocol"), port["nodePort"])
        if key in seen:
            found.append(duplicate(f"spec.ports[{index}].nodePort", port["nodePort"]))
        seen.add(key)
    return found


def _same_ports(ports: list[Object]) -> Errors:
    found: Errors = []
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol") or "", port.get("port") or 0)
        if key in seen:
            shown = {
                "Name": "",
                "Protocol": key[0],
                "AppProtocol": None,
                "Port": key[1],
                "TargetPort": 0,
                "NodePort": 0,
            }
            found.append(duplicate(f"spec.ports[{index}]", shown))
        seen.add(key)
    return found


def _source_ranges(obj: Object, spec: Object, kind: str) -> Errors:
    found: Errors = []
    ranges = spec.get("loadBalancerSourceRanges") or []
    annotation = ((obj.get("metadata") or {}).get("annotations") or {}).get(_RANGES)
    if ranges:
        path = "spec.LoadBalancerSourceRanges"
        found += [] if kind == "LoadBalancer" else [forbidden(path, _ONLY_BALANCED)]
        for index, value in enumerate(ranges):
            found += cidr(value.strip(), f"{path}[{index}]")
    elif annotation is not None:
        path = f"metadata.annotations[{_RANGES}]"
        found += [] if kind == "LoadBalancer" else [forbidden(path, _ONLY_BALANCED)]
        for value in annotation.split(",") if annotation.strip() else ():
            found += cidr(value.strip(), path)
    return found


def _class(spec: Object, before: Object | None) -> Errors:
    path, name = "spec.loadBalancerClass", spec.get("loadBalancerClass")
    found: Errors = []
    balanced = spec.get("type") == "LoadBalancer"
    stays = before or {}
    if balanced and stays.get("type") == "LoadBalancer" and name != stays.get("loadBalancerClass"):
        found.append(invalid(path, name, "may not change once set"))
    if name is None:
        return found
    return found + (formatted(name, path, formats.qualified_name) if balanced else [forbidden(path, _ONLY_BALANCED)])


def _checks_health(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _traffic(spec: Object, kind: str) -> Errors:
    found: Errors = []
    external = spec.get("externalTrafficPolicy") or ""
    accessible = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and spec.get("externalIPs"))
    path = "spec.externalTrafficPolicy"
    if not accessible:
        text = "may only be set for externally-accessible services"
        found += [invalid(path, external, text)] if external else []
    else:
        found += one_of(external, path, ("Cluster", "Local"))
    port, path = spec.get("healthCheckNodePort") or 0, "spec.healthCheckNodePort"
    if not _checks_health(spec):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found += [invalid(path, port, text)] if port else []
    elif not port:
        found.append(required(path))
    else:
        found += [invalid(path, port, text) for text in formats.port_number(port)]
    internal, path = spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy"
    if internal is None:
        found += [required(path)] if kind in ("NodePort", "LoadBalancer", "ClusterIP") else []
    else:
        found += supported(internal, path, ("Cluster", "Local"))
    if spec.get("trafficDistribution") is not None:
        values = ("PreferClose", "PreferSameZone", "PreferSameNode")
        found += supported(spec["trafficDistribution"], "spec.trafficDistribution", values)
    return found


@on_update("", "Service", subresource="status")
def update_status(new: Object, old: Object) -> Errors:
    spec = new.get("spec") or {}
    items = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    path = "status.loadBalancer.ingress"
    found: Errors = []
    if items and spec.get("type") != "LoadBalancer":
        return [forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        if item.get("ip"):
            found += ip_address(item["ip"], f"{here}.ip")
            if item.get("ipMode") is None:
                found.append(required(f"{here}.ipMode", "must be specified when `ip` is set"))
            else:
                found += supported(item["ipMode"], f"{here}.ipMode", ("Proxy", "VIP"))
        elif item.get("ipMode") is not None:
            found.append(forbidden(f"{here}.ipMode", "may not be specified when `ip` is not set"))
        if item.get("hostname"):
            found += formatted(item["hostname"], f"{here}.hostname", formats.dns_subdomain)
            if formats.ip(item["hostname"]) is not None:
                text = "must be a DNS name, not an IP address"
                found.append(invalid(f"{here}.hostname", item["hostname"], text))
    return found
