"""The quality of service class of a pod.

Rule: k8s.io/kubernetes, pkg/apis/core/helper/qos.
"""

from __future__ import annotations

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

_COUNTED = ("cpu", "memory")


def quality_of_service(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, of a pod's spec."""
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    guaranteed = True
    holders = [spec] if _has_resources(spec) else (spec.get("initContainers") or []) + (spec.get("containers") or [])
    for holder in holders:
        resources = holder.get("resources") or {}
        _add(requests, resources.get("requests") or {})
        found = _add(limits, resources.get("limits") or {})
        guaranteed = guaranteed and found == set(_COUNTED)
    if not requests and not limits:
        return "BestEffort"
    same = guaranteed and requests.keys() == limits.keys() and all(limits[name] == requests[name] for name in requests)
    return "Guaranteed" if same else "Burstable"


def _has_resources(spec: Object) -> bool:
    resources = spec.get("resources") or {}
    return bool(resources.get("requests") or resources.get("limits"))


def _add(sums: dict[str, Quantity], amounts: Object) -> set[str]:
    found = set()
    for name, text in amounts.items():
        if name not in _COUNTED:
            continue
        amount = Quantity.parse(text)
        if amount > Quantity.ZERO:
            found.add(name)
            sums[name] = sums[name] + amount if name in sums else amount
    return found
