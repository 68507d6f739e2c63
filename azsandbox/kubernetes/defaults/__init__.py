"""Defaults of built-in kinds: what the API server fills in before admission.

Rules: k8s.io/kubernetes, pkg/apis/*/v1/defaults.go. A module is about one group and enters its functions in `registry`.
"""

from __future__ import annotations

from importlib import import_module

from azsandbox.kubernetes.defaults.registry import DEFAULTS
from azsandbox.kubernetes.request import GroupVersionKind, Object

_MODULES = ("pods", "core", "workloads", "policies")
for _name in _MODULES:
    import_module(f"{__name__}.{_name}")

__all__ = ["apply"]


def apply(gvk: GroupVersionKind, obj: Object) -> None:
    """Fills in the defaults of a type, in place. A type without any, or a custom one, is left as it is."""
    function = DEFAULTS.get((gvk.group, gvk.version, gvk.kind)) or DEFAULTS.get((gvk.group, "", gvk.kind))
    if function is not None:
        function(obj)
