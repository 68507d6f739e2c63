"""Validation of Endpoints and EndpointSlices."""

from __future__ import annotations

import ipaddress

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.common import (
    PROTOCOLS,
    formatted,
    ip_address,
    one_of,
    supported,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    invalid,
    required,
    too_many,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update


def endpoint_ip(text: str, path: str) -> Errors:
    """An address that traffic can be sent to: not unspecified, loopback, link-local or multicast."""
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        return [invalid(path, text, f"may not be unspecified ({text})")]
    if address.is_loopback:
        return [invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")]
    if address.is_multicast and _link_local_multicast(address):
        return [invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")]
    if address.is_link_local:
        return [invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    return []


def _link_local_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    network = "224.0.0.0/24" if address.version == 4 else "ff02::/16"
    return address in ipaddress.ip_network(network)


@on_create("", "Endpoints")
def endpoints(obj: Object) -> Errors:
    found: Errors = []
    for index, subset in enumerate(obj.get("subsets") or []):
        here = f"subsets[{index}]"
        addresses, waiting = subset.get("addresses") or [], subset.get("notReadyAddresses") or []
        if not addresses and not waiting:
            found.append(required(here, "must specify `addresses` or `notReadyAddresses`"))
        for key, items in (("addresses", addresses), ("notReadyAddresses", waiting)):
            for place, item in enumerate(items):
                found += _endpoint_address(item, f"{here}.{key}[{place}]")
        ports = subset.get("ports") or []
        for place, port in enumerate(ports):
            found += _endpoint_port(port, len(ports) > 1, f"{here}.ports[{place}]")
    return found


@on_update("", "Endpoints")
def endpoints_update(new: Object, old: Object) -> Errors:
    return endpoints(new) if new.get("subsets") != old.get("subsets") else []


def _endpoint_address(item: Object, path: str) -> Errors:
    text = item.get("ip") or ""
    found = ip_address(text, f"{path}.ip")
    if item.get("hostname"):
        found += formatted(item["hostname"], f"{path}.hostname", formats.dns_label)
    if item.get("nodeName") is not None:
        found += formatted(item["nodeName"], f"{path}.nodeName", formats.dns_subdomain)
    if formats.ip(text) is None:
        return [*found, invalid(f"{path}.ip", text, "must be a valid IP address")]
    return found + endpoint_ip(text, f"{path}.ip")


def _endpoint_port(port: Object, needs_name: bool, path: str) -> Errors:
    found: Errors = []
    if needs_name and not port.get("name"):
        found.append(required(f"{path}.name"))
    elif port.get("name"):
        found += formatted(port["name"], f"{path}.name", formats.dns_label)
    number = port.get("port") or 0
    found += [invalid(f"{path}.port", number, text) for text in formats.port_number(number)]
    found += one_of(port.get("protocol"), f"{path}.protocol", PROTOCOLS)
    if port.get("appProtocol") is not None:
        found += formatted(port["appProtocol"], f"{path}.appProtocol", formats.qualified_name)
    return found


_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


@on_create("discovery.k8s.io", "EndpointSlice")
def endpoint_slice(obj: Object) -> Errors:
    kind = obj.get("addressType") or ""
    ports, items = obj.get("ports") or [], obj.get("endpoints") or []
    found = one_of(kind, "addressType", _ADDRESS_TYPES)
    return found + _slice_ports(ports) + _slice_endpoints(items, kind)


def _slice_endpoints(items: list[Object], kind: str) -> Errors:
    if len(items) > 1000:
        return [too_many("endpoints", len(items), 1000)]
    found: Errors = []
    for index, item in enumerate(items):
        here, addresses = f"endpoints[{index}]", item.get("addresses") or []
        if not addresses:
            found.append(required(f"{here}.addresses", "must contain at least 1 address"))
        elif len(addresses) > 100:
            found.append(too_many(f"{here}.addresses", len(addresses), 100))
        for place, address in enumerate(addresses):
            found += _slice_address(address, kind, f"{here}.addresses[{place}]")
        if item.get("nodeName") is not None:
            found += formatted(item["nodeName"], f"{here}.nodeName", formats.dns_subdomain)
        topology = item.get("deprecatedTopology") or {}
        found += metadata.labels(topology, f"{here}.deprecatedTopology")
        if item.get("hostname") is not None:
            found += formatted(item["hostname"], f"{here}.hostname", formats.dns_label)
        if item.get("hints") is not None:
            found += _hints(item["hints"], f"{here}.hints")
    return found


def _hints(hints: Object, path: str) -> Errors:
    found: Errors = []
    for key, form in (("forZones", formats.label_value), ("forNodes", formats.dns_subdomain)):
        items = hints.get(key) or []
        if len(items) > 8:
            return [*found, too_many(f"{path}.{key}", len(items), 8)]
        names = [item.get("name") or "" for item in items]
        for index, name in enumerate(names):
            where = f"{path}.{key}[{index}].name"
            found += [duplicate(where, name)] if name in names[:index] else []
            found += formatted(name, where, form)
    return found


def _slice_address(address: str, kind: str, path: str) -> Errors:
    if kind == "FQDN":
        return _full_name(address, path)
    if kind not in ("IPv4", "IPv6"):
        return []
    found = formats.ip(address)
    faults = formats.strict_ip(address) if kind == "IPv6" else [] if found else [formats.IP_TEXT]
    if faults or found is None:
        return [invalid(path, address, text) for text in faults]
    if found.version != (4 if kind == "IPv4" else 6):
        return [invalid(path.rpartition("[")[0], address, f"must be an {kind} address"), *endpoint_ip(address, path)]
    return endpoint_ip(address, path)


def _full_name(name: str, path: str) -> Errors:
    name = name.removesuffix(".")
    if not name:
        return [required(path)]
    faults = formats.dns_subdomain(name)
    if faults:
        return [invalid(path, name, ",".join(faults))]
    if "." not in name:
        return [invalid(path, name, "should be a domain with at least two segments separated by dots")]
    return []


def _slice_ports(ports: list[Object]) -> Errors:
    if len(ports) > 20000:
        return [too_many("ports", len(ports), 20000)]
    found: Errors = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        here, name = f"ports[{index}]", port.get("name") or ""
        if name:
            found += formatted(name, f"{here}.name", formats.dns_label)
        if name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
        if port.get("protocol") is None:
            found.append(required(f"{here}.protocol"))
        else:
            found += supported(port["protocol"], f"{here}.protocol", PROTOCOLS)
        if port.get("appProtocol") is not None:
            found += formatted(port["appProtocol"], f"{here}.appProtocol", formats.qualified_name)
    return found


@on_update("discovery.k8s.io", "EndpointSlice")
def endpoint_slice_update(new: Object, old: Object) -> Errors:
    found = endpoint_slice(new)
    if new.get("endpoints") == old.get("endpoints"):
        found = [item for item in found if not item.field.startswith("endpoints")]
    if new.get("addressType") != old.get("addressType"):
        found.append(invalid("addressType", new.get("addressType") or "", metadata.IMMUTABLE))
    return found
