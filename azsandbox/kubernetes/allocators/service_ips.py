"""Cluster IPs of Services.

Texts: k8s.io/kubernetes, pkg/registry/core/service/ipallocator.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_RANDOM = random.SystemRandom()


class AddressError(Exception):
    """An address that cannot be had, in the API server's words."""


class ServiceIPs:
    """The addresses of some ranges, given those that are taken."""

    def __init__(self, networks: Sequence[Network], taken: set[str]) -> None:
        self.networks, self.taken = networks, taken

    def take(self, text: str) -> None:
        """Takes an address that was asked for. Raises AddressError."""
        address = ipaddress.ip_address(text)
        if not any(_usable(address, network) for network in self.networks):
            raise AddressError("the provided network does not match the current range")
        if str(address) in self.taken:
            raise AddressError("provided IP is already allocated")
        self.taken.add(str(address))

    def next(self) -> str:
        """Takes any free address of the first range that has one. Raises AddressError."""
        for network in self.networks:
            found = self._next(network)
            if found:
                return found
        raise AddressError("range is full")

    def _next(self, network: Network) -> str:
        """A free address, of the upper part of a range while that has one; "" if there is none."""
        first, size = int(network.network_address) + 1, network.num_addresses - 2
        reserved = min(max(16, size // 16), 256)  # addresses at the start are left to those who ask for one
        for low, high in ((first + reserved, first + size - 1), (first, min(first + reserved, first + size) - 1)):
            if low > high:
                continue
            start = _RANDOM.randint(low, high)
            for number in itertools.chain(range(start, high + 1), range(low, start)):
                address = str(ipaddress.ip_address(number))
                if address not in self.taken:
                    self.taken.add(address)
                    return address
        return ""


def _usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> bool:
    if address.version != network.version or address not in network:
        return False
    last = int(network.broadcast_address) if network.version == 4 else -1
    return int(address) not in (int(network.network_address), last)
