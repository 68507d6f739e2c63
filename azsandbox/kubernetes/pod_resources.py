"""What a pod asks for as a whole: the sum of its containers, or what its init containers need at one time.

Rule: k8s.io/component-helpers, package resource.
"""

from __future__ import annotations

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

Amounts = dict[str, Quantity]


def pod_requests(spec: Object, *, overhead: bool = True) -> Amounts:
    """Requests of a pod, with its overhead unless that is left out."""
    return _total(spec, "requests", overhead)


def pod_limits(spec: Object, *, overhead: bool = True) -> Amounts:
    """Limits of a pod; overhead is added to those that are set."""
    return _total(spec, "limits", overhead)


def _total(spec: Object, key: str, overhead: bool) -> Amounts:
    total: Amounts = {}
    for container in spec.get("containers") or []:
        _add(total, _of(container, key))
    sidecars: Amounts = {}
    first: Amounts = {}
    for container in spec.get("initContainers") or []:
        own = _of(container, key)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        _raise(first, own)
    _raise(total, first)
    for name, amount in _of(spec, key).items():
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            total[name] = amount
    if overhead and spec.get("overhead"):
        added = {name: Quantity.parse(text) for name, text in spec["overhead"].items()}
        _add(total, added if key == "requests" else {name: added[name] for name in added if name in total})
    return total


def _of(holder: Object, key: str) -> Amounts:
    amounts = (holder.get("resources") or {}).get(key) or {}
    return {name: Quantity.parse(text) for name, text in amounts.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _raise(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or total[name] < amount:
            total[name] = amount
