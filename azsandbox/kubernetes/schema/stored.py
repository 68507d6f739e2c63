"""What storage does to an object: in protocol buffers an empty list or map is none, so it comes back as null.

Only fields that Go always writes show it; the others are left out when they are empty. Definitions of custom
resources and API services are stored as JSON, which keeps what is empty.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema.definitions import LIST, MAP, OBJECT, Type

JSON_GROUPS = ("apiextensions.k8s.io", "apiregistration.k8s.io")

# field → whether it becomes null when it is empty, and what is below it
_Plan = dict[str, tuple[bool, "_Plan"]]
_PLANS: dict[str, _Plan] = {}


def null_where_empty(type_: Type, obj: Object) -> None:
    """Turns the empty lists and maps of an object into null, in place, where Go writes them always."""
    _walk(_plan(type_, ()), obj)


def _walk(plan: _Plan, value: Any) -> None:
    for name, (always, below) in plan.items():
        inner = value.get(name)
        if inner:
            if below:
                for item in inner if isinstance(inner, list) else (inner,):
                    if item:
                        _walk(below, item)
        elif always and inner is not None:
            value[name] = None


def _plan(type_: Type, above: tuple[str, ...]) -> _Plan:
    found = _PLANS.get(type_.name)
    if found is not None or type_.name in above:
        return found or {}
    made: _Plan = {}
    for field in type_.fields:
        kind = field.type.kind
        element = field.type.element if kind == LIST else field.type
        assert element is not None
        below = _plan(element, (*above, type_.name)) if element.kind == OBJECT else {}
        always = kind in (LIST, MAP) and not field.omit_empty and not field.pointer
        if always or below:
            made[field.name] = (always, below)
    if not above:
        _PLANS[type_.name] = made
    return made
