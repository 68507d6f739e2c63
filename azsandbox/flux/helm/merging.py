"""Patches that Helm computes on its own side: where applying is not server-side, and where it becomes so."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import Object, Objects


def three_way(original: Object, target: Object, live: Object) -> Object:
    """The merge patch that brings a live object to `target`: what differs there, and what `original` had and it lacks.

    Lists are replaced as a whole (kubectl, jsonmergepatch.CreateThreeWayJSONMergePatch).
    """
    change: Object = {}
    for key, value in target.items():
        there = live.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            before = original.get(key)
            inner = three_way(before if isinstance(before, dict) else {}, value, there)
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
