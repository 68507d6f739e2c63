"""What a pod asks of a node, and what a node has: whole numbers a resource.

CPU counts in thousandths of a core, everything else in units or bytes.
Rules: k8s.io/component-helpers, package resource (PodRequests).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.kubernetes.quantity import Quantity

Amounts = dict[str, int]

# what a container without requests counts for when nodes are compared (pkg/scheduler/util)
ASSUMED_MILLI_CPU, ASSUMED_MEMORY = 100, 200 * 1024 * 1024


def amount(resource: str, quantity: Any) -> int:
    """A quantity as a whole number, rounded up."""
    parsed = Quantity.parse(quantity)
    return parsed.milli if resource == "cpu" else parsed.value


def amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    """A resource list as whole numbers."""
    return {name: amount(name, quantity) for name, quantity in (quantities or {}).items()}


def is_sidecar(container: Object) -> bool:
    """Whether an init container goes on running beside the others."""
    return container.get("restartPolicy") == "Always"


def pod_requests(spec: Object, assumed: bool = False) -> Amounts:
    """What a pod asks for: its containers with sidecars, or the largest init step if that is more, and its overhead.

    With `assumed` a container that asks for no CPU or memory counts for a little, as in scores.
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container, assumed))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _requests(container, assumed)
        if is_sidecar(container):
            _add(total, asked)
            _add(sidecars, asked)
            step = sidecars
        else:
            step = dict(asked)
            _add(step, sidecars)
        for name, value in step.items():
            largest[name] = max(largest.get(name, 0), value)
    for name, value in largest.items():
        total[name] = max(total.get(name, 0), value)
    total.update(amounts((spec.get("resources") or {}).get("requests")))  # requests of the pod as a whole go first
    _add(total, amounts(spec.get("overhead")))
    return total


def _requests(container: Object, assumed: bool) -> Amounts:
    found = amounts((container.get("resources") or {}).get("requests"))
    if assumed:
        found.setdefault("cpu", ASSUMED_MILLI_CPU)
        found.setdefault("memory", ASSUMED_MEMORY)
    return found


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value
