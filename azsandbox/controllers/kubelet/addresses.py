"""Addresses of pods, out of their nodes' pod ranges."""

from __future__ import annotations

import ipaddress

from azsandbox.controllers.client import Object

DEFAULT_NODE_ADDRESS = "10.10.0.4"  # of a node that reports none
FALLBACK_RANGE = "10.244.0.0/16"  # for pods of a node without a range


def node_address(node: Object | None) -> str:
    """The node's internal address."""
    for entry in ((node or {}).get("status") or {}).get("addresses") or ():
        if entry.get("type") == "InternalIP":
            return str(entry["address"])
    return DEFAULT_NODE_ADDRESS


class PodAddresses:
    """Gives each pod an address of its node's range, and takes it back."""

    def __init__(self) -> None:
        self._by_pod: dict[str, str] = {}  # uid → address
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def note(self, uid: str, address: str) -> None:
        """A pod has this address already."""
        if address and uid not in self._by_pod:
            self._by_pod[uid] = address
            self._used.add(address)

    def of(self, uid: str, node: Object) -> str:
        """The pod's address, given out when first asked for; "" when the range is used up."""
        if uid in self._by_pod:
            return self._by_pod[uid]
        cidr = (node.get("spec") or {}).get("podCIDR") or FALLBACK_RANGE
        network = ipaddress.ip_network(cidr, strict=False)
        usable = network.num_addresses - 2
        start = self._next.get(cidr, 0)
        for step in range(usable):
            index = (start + step) % usable
            address = str(network.network_address + 1 + index)
            if address not in self._used:
                self._next[cidr] = index + 1
                self.note(uid, address)
                return address
        return ""

    def release(self, uid: str) -> None:
        address = self._by_pod.pop(uid, None)
        if address is not None:
            self._used.discard(address)
