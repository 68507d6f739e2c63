"""The machines of a pool: which there are, their names, and which come or go when the pool changes.

A machine is kept with its pool as {"instance", "zone", "version", "image"}; a node of Kubernetes follows from
it. What is kept is what shall be, so a crash between the two loses nothing.
"""

from __future__ import annotations

import hashlib
import math
import string
from typing import Any

Machine = dict[str, Any]
DIGITS = string.digits + string.ascii_lowercase


def suffix(cluster_uid: str, pool: str) -> str:
    """The eight digits in the names of a pool's scale set and nodes."""
    digest = hashlib.sha256(f"{cluster_uid}/{pool}".encode()).digest()
    return f"{10_000_000 + int.from_bytes(digest[:6], 'big') % 90_000_000}"


def scale_set(pool: str, digits: str) -> str:
    """ "aks-system-12345678-vmss"."""
    return f"aks-{pool}-{digits}-vmss"


def base36(number: int) -> str:
    """Six digits of base 36, as scale sets name their instances."""
    out = ""
    for _ in range(6):
        number, digit = divmod(number, 36)
        out = DIGITS[digit] + out
    return out


def node_name(scale_set_name: str, machine: Machine) -> str:
    """ "aks-system-12345678-vmss00000a"."""
    return scale_set_name + base36(machine["instance"])


def next_zone(machines: list[Machine], zones: list[str]) -> str:
    """The zone with the fewest machines, the first of equals; "" without zones."""
    if not zones:
        return ""
    return min(zones, key=lambda zone: (sum(m["zone"] == zone for m in machines), zones.index(zone)))


def grow(machines: list[Machine], count: int, next_instance: int, zones: list[str], **made: Any) -> list[Machine]:
    """The machines to add so that there are `count`: numbered from `next_instance`, spread over `zones`."""
    out: list[Machine] = []
    while len(machines) + len(out) < count:
        zone = next_zone(machines + out, zones)
        out.append({"instance": next_instance + len(out), "zone": zone, **made})
    return out


def shrink(machines: list[Machine], count: int, zones: list[str]) -> list[Machine]:
    """The machines that go so that `count` stay: of the fullest zone, the newest first (scale sets' default policy)."""
    left, out = list(machines), []
    while len(left) > count:
        fullest = max(sum(m["zone"] == zone for m in left) for zone in (zones or [""])) if zones else 0
        candidates = [m for m in left if not zones or sum(o["zone"] == m["zone"] for o in left) >= fullest] or left
        gone = max(candidates, key=lambda m: m["instance"])
        left.remove(gone)
        out.append(gone)
    return out


def surge(count: int, max_surge: str | None) -> int:
    """Nodes that an upgrade adds: "33%" of count, rounded up and at least 1, or the number itself. 0 only if said so."""
    text = str(max_surge if max_surge not in (None, "") else "10%")
    if text.endswith("%"):
        return max(1, math.ceil(count * int(text[:-1]) / 100)) if int(text[:-1]) else 0
    return int(text)


def unavailable(count: int, max_unavailable: str | None) -> int:
    """Nodes that an upgrade may take away without a surge node: "5%" of count rounded up, or the number."""
    text = str(max_unavailable if max_unavailable not in (None, "") else "0")
    if text.endswith("%"):
        return math.ceil(count * int(text[:-1]) / 100)
    return int(text)
