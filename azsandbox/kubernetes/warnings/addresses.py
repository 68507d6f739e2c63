"""Warnings of addresses that are read, but not written as they should be.

Source: k8s.io/apimachinery, pkg/util/validation/ip.go.
"""

from __future__ import annotations

import ipaddress

from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.errors import quoted


def _strict(text: str) -> bool:
    """Whether Go's netip reads an address: no leading zeros."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None


def of_ip(path: str, value: str) -> list[str]:
    """What is odd about an address that has been validated."""
    address = formats.ip(value)
    if address is None:
        return []
    mapped = _mapped(address)
    if not _strict(value) or mapped:
        text = "will be considered invalid in a future Kubernetes release"
        return [f"{path}: non-standard IP address {quoted(value)} {text}: use {quoted(str(mapped or address))}"]
    if address.version == 6 and str(address) != value:
        return [f"{path}: IPv6 address {quoted(value)} should be in RFC 5952 canonical format ({quoted(str(address))})"]
    return []


def of_cidr(path: str, value: str) -> list[str]:
    """What is odd about a range of addresses that has been validated."""
    found = formats.cidr(value)
    if found is None:
        return []
    warnings: list[str] = []
    mapped = _mapped(found.ip)
    if found.ip != found.network.network_address:
        single = f"{found.ip}/{found.max_prefixlen}"
        said = f"(should be {quoted(str(found.network))} or {quoted(single)}?)"
        warnings.append(f"{path}: CIDR value {quoted(value)} is ambiguous in this context {said}")
    if not _strict(value.partition("/")[0]) or mapped:
        text = "will be considered invalid in a future Kubernetes release"
        warnings.append(f"{path}: non-standard CIDR value {quoted(value)} {text}: use {quoted(str(found.network))}")
    if not warnings and found.version == 6 and str(found) != value:
        text = f"should be in RFC 5952 canonical format ({quoted(str(found))})"
        warnings.append(f"{path}: IPv6 CIDR value {quoted(value)} {text}")
    return warnings
