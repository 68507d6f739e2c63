"""Address arithmetic of virtual networks, with the refusals of Azure.

Azure reserves five addresses of each subnet: the first four and the last. The smallest
IPv4 subnet is /29; an IPv6 subnet is exactly /64 (Azure Virtual Network FAQ).
"""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.arm.providers.network.base import refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

RESERVED = 5
SMALLEST = 29


def prefix(text: Any, resource: str) -> Network:
    """The prefix that `text` writes. Raises InvalidAddressPrefixFormat or InvalidCIDRNotation, naming the resource's id."""
    try:
        if not isinstance(text, str) or "/" not in text:
            raise ValueError
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise refusal(
            "InvalidAddressPrefixFormat",
            f"Address prefix {text} of resource {resource} is not formatted correctly. It should follow CIDR notation, "
            "for example 10.0.0.0/24.",
        ) from None
    if str(network) != text and network.version == 4:
        raise refusal(
            "InvalidCIDRNotation",
            f"The address prefix {text} in resource {resource} has an invalid CIDR notation. For the given prefix length, "
            f"the address prefix should be {network}.",
        )
    return network


def address_space(prefixes: list[Any], vnet: str) -> list[Network]:
    """The prefixes of a network. Raises where they overlap or are malformed."""
    space = [prefix(text, vnet) for text in prefixes]
    for index, one in enumerate(space):
        for other in space[index + 1 :]:
            if one.overlaps(other):
                raise refusal(
                    "NetcfgInvalidVirtualNetwork",
                    f"Address prefixes {one} and {other} of virtual network '{vnet.rsplit('/', 1)[-1]}' overlap.",
                )
    return space


def check_subnet(name: str, prefixes: list[Network], space: list[Network], others: list[Network], vnet: str) -> None:
    """Raises what Azure says of a subnet that does not fit its network or its neighbours."""
    for one in prefixes:
        if one.version == 4 and one.prefixlen > SMALLEST:
            raise refusal(
                "NetcfgInvalidSubnet",
                f"Subnet '{name}' is not valid in virtual network '{vnet}'.",
            )
        if not any(one.version == s.version and one.subnet_of(s) for s in space):  # type: ignore[arg-type]
            raise refusal(
                "NetcfgSubnetRangeOutsideVnet",
                f"Subnet '{name}' is not valid because its IP address range is outside the IP address range of virtual "
                f"network '{vnet}'.",
            )
        if any(one.overlaps(other) for other in others):
            raise refusal(
                "NetcfgSubnetRangesOverlap",
                f"Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet in "
                f"virtual network '{vnet}'.",
            )


def usable(network: Network) -> int:
    """Addresses that resources can have."""
    return max(0, network.num_addresses - RESERVED)


def free(network: Network, taken: set[Address], count: int) -> list[str]:
    """The first `count` addresses that are neither reserved nor taken."""
    out: list[str] = []
    for offset in range(RESERVED - 1, network.num_addresses - 1):
        candidate = network.network_address + offset
        if candidate not in taken:
            out.append(str(candidate))
            if len(out) == count:
                break
    return out


def reserved(address: Address, network: Network) -> bool:
    """Whether Azure keeps the address for itself."""
    offset = int(address) - int(network.network_address)
    return offset < RESERVED - 1 or offset == network.num_addresses - 1
