"""Patches that Helm computes on its own side: where applying is not server-side, and where it becomes so."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import MERGE, STRATEGIC, Object, Objects
from azsandbox.flux.object_refs import group_of
from azsandbox.kubernetes.patch import strategic_diff
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.schema.definitions import Type, definitions
from azsandbox.kubernetes.schema.typed_values import DecodeError, convert


def client_side(original: Object, target: Object, live: Object, *, three_way: bool) -> tuple[Object, str]:
    """The patch that brings a live object from `original` to `target`, and its media type.

    For an object of a kind that Kubernetes has built in it is a strategic merge patch. For others, and for one that is
    no such object, it is a merge patch, made without regard to what the cluster has unless it is to be `three_way`.
    Raises StatusError for fields that there are not.
    """
    api_version = str(target["apiVersion"])
    kind = GroupVersionKind(group_of(api_version), api_version.rpartition("/")[2], str(target["kind"]))
    type_ = definitions().type_of(kind)
    if type_ is not None and _is(target, type_):
        return strategic_diff.three_way(original, target, live, type_), STRATEGIC
    return (_three_way(original, target, live) if three_way else _two_way(original, target)), MERGE


def _is(obj: Object, type_: Type) -> bool:
    try:
        convert(type_, obj)
    except DecodeError:
        return False
    return True


def _two_way(original: Object, target: Object) -> Object:
    return _three_way(original, target, original)


def _three_way(original: Object, target: Object, live: Object) -> Object:
    """What differs from `live`, and null for what `original` had and `target` lacks. Lists are replaced as a whole."""
    change: Object = {}
    for key, value in target.items():
        there = live.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            before = original.get(key)
            inner = _three_way(before if isinstance(before, dict) else {}, value, there)
            if inner:
                change[key] = inner
        elif value != there:
            change[key] = value
    for key in original:
        if key not in target and key in live:
            change[key] = None
    return change


def managers_taken(obj: Object, manager: str) -> Objects:
    """The JSON patch that makes what `manager` owns by updates its own by apply, empty if there is nothing so owned.

    Source: k8s.io/client-go/util/csaupgrade.
    """
    entries: Objects = obj["metadata"].get("managedFields") or []
    own = [e for e in entries if e.get("manager") == manager and not e.get("subresource")]
    updates = [e for e in own if e.get("operation") == "Update"]
    if not updates:
        return []
    applied = next((e for e in own if e.get("operation") == "Apply"), None)
    result = dict(applied or updates[-1])
    result["operation"] = "Apply"
    fields: dict[str, Any] = {}
    for entry in [*([applied] if applied else []), *updates]:
        fields = _united(fields, entry.get("fieldsV1") or {})
    result["fieldsV1"] = fields
    kept = [e for e in entries if e not in updates and e is not applied]
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, result]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]},
    ]


def _united(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {key: _united(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}
