"""Cluster IPs of Services.

Texts: k8s.io/kubernetes, pkg/registry/core/service/ipallocator.
"""

from __future__ import annotations

import ipaddress
import random

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_RANDOM = random.SystemRandom()


class AddressError(Exception):
    """An address that cannot be had, in the API server's words."""


class ServiceIPs:
    """The addresses of one range, given those that are taken."""

    def __init__(self, network: Network, taken: set[str]) -> None:
        self.network, self.taken = network, taken

    def take(self, text: str) -> None:
        """Takes an address that was asked for. Raises AddressError."""
        address = ipaddress.ip_address(text)
        if address.version != self.network.version or address not in self.network or not self._usable(address):
            raise AddressError("the provided network does not match the current range")
        if str(address) in self.taken:
            raise AddressError("provided IP is already allocated")
        self.taken.add(str(address))

    def _usable(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        last = int(self.network.broadcast_address) if self.network.version == 4 else -1
        return int(address) not in (int(self.network.network_address), last)

    def next(self) -> str:
        """Takes any free address, of the upper part of the range while that has one. Raises AddressError."""
        first, size = int(self.network.network_address) + 1, self.network.num_addresses - 2
        if len(self.taken) >= size:
            raise AddressError("range is full")
        reserved = min(max(16, size // 16), 256)  # addresses at the start are left to those who ask for one
        for low in (first + reserved, first):
            for _ in range(200):
                address = str(ipaddress.ip_address(_RANDOM.randint(low, first + size - 1)))
                if address not in self.taken:
                    self.taken.add(address)
                    return address
        raise AddressError("range is full")
