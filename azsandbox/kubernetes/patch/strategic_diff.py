"""Making strategic merge patches, as clients do that apply on their own side (kubectl apply, Helm without server-side
apply): what the new version of an object has otherwise than the cluster, and what its old version had and it lacks.

Rules: k8s.io/apimachinery, pkg/util/strategicpatch (CreateThreeWayMergePatch).
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.patch.strategic import DELETE_PRIMITIVES, DIRECTIVE, ELEMENT_ORDER, RETAIN_KEYS, lookup
from azsandbox.kubernetes.schema.definitions import Type

_Map = dict[str, Any]


def three_way(original: _Map, modified: _Map, current: _Map, type_: Type) -> _Map:
    """The patch that leads from `current` to `modified`, where `original` is what was applied before; {} for none.

    Raises StatusError for fields that the type does not have.
    """
    additions = _maps(current, modified, type_, deletes=False, retains=False)
    deletions = _maps(original, modified, type_, deletes=True, retains=False)
    return _merged(deletions, additions, type_)


def _maps(old: _Map, new: _Map, type_: Type | None, *, deletes: bool, retains: bool) -> _Map:
    """How maps differ: what `old` has and `new` lacks if it `deletes`, otherwise what `new` has that is not in `old`."""
    patch: _Map = {}
    for key, value in new.items():
        if key not in old or not _same_type(old[key], value):
            if not deletes:
                patch[key] = value
        elif isinstance(value, dict):
            _map(patch, key, old[key], value, type_, deletes=deletes)
        elif isinstance(value, list):
            _list(patch, key, old[key], value, type_, deletes=deletes)
        elif not deletes and old[key] != value:
            patch[key] = value
    missing = [key for key in old if key not in new]
    if deletes:
        patch |= dict.fromkeys(missing)
    kept = sorted(key for key, value in new.items() if value is not None) if retains else []
    if kept and (patch or missing):
        patch[RETAIN_KEYS] = kept
    return patch


def _same_type(one: Any, other: Any) -> bool:
    kinds = (dict, list, str, bool)
    return all(isinstance(one, kind) == isinstance(other, kind) for kind in kinds) and (one is None) == (other is None)


def _map(patch: _Map, key: str, old: _Map, new: _Map, type_: Type | None, *, deletes: bool) -> None:
    if old == new:
        return
    child = lookup(type_, key)
    if "replace" in child.strategies:
        if not deletes:
            patch[key] = new
        return
    inner = _maps(old, new, child, deletes=deletes, retains="retainKeys" in child.strategies)
    if inner:
        patch[key] = inner


def _list(patch: _Map, key: str, old: list[Any], new: list[Any], type_: Type | None, *, deletes: bool) -> None:
    if old == new:
        return
    child = lookup(type_, key)
    if "merge" not in child.strategies:
        if not deletes:
            patch[key] = new
        return
    if not old:
        if new and not deletes:
            patch[key] = new
        return
    if not isinstance([*old, *new][0], dict):
        _scalars(patch, key, old, new, deletes=deletes)
        return
    name = child.merge_key
    before = {str(item[name]): item for item in old}
    after = {str(item[name]): item for item in new}
    changes: list[Any] = []
    for place, item in after.items():
        if place not in before:
            if not deletes:
                changes.append(item)
            continue
        retains = "retainKeys" in child.strategies
        inner = _maps(before[place], item, child.element, deletes=deletes, retains=retains)
        if inner:
            changes.append({**inner, name: item[name]})
    if deletes:
        changes += [{name: before[place][name], DIRECTIVE: "delete"} for place in sorted(before) if place not in after]
    if changes:
        patch[key] = changes
    if new and (changes or (not deletes and [item[name] for item in old] != [item[name] for item in new])):
        patch[f"{ELEMENT_ORDER}/{key}"] = [{name: item[name]} for item in new]


def _scalars(patch: _Map, key: str, old: list[Any], new: list[Any], *, deletes: bool) -> None:
    gone = sorted({item for item in old if item not in new}, key=str)
    added = [item for item in new if item not in old]
    if not deletes and added:
        patch[key] = added
    if deletes and gone:
        patch[f"{DELETE_PRIMITIVES}/{key}"] = gone
    if new and (gone if deletes else sorted(old, key=str) != new):  # Go has sorted the old list by then
        patch[f"{ELEMENT_ORDER}/{key}"] = new


def _merged(deletions: _Map, additions: _Map, type_: Type | None) -> _Map:
    """Two patches as one."""
    found = dict(deletions)
    for key, value in additions.items():
        before = found.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            found[key] = _merged(before, value, lookup(type_, key))
        elif isinstance(before, list) and isinstance(value, list) and not key.startswith("$"):
            order = additions.get(f"{ELEMENT_ORDER}/{key}") or deletions.get(f"{ELEMENT_ORDER}/{key}") or []
            found[key] = _merged_lists(before, value, order, lookup(type_, key))
        else:
            found[key] = value
    return found


def _merged_lists(deletions: list[Any], additions: list[Any], order: list[Any], type_: Type) -> list[Any]:
    """Two lists of changes as one, in the order that the elements are to have; those that go come last."""
    name = type_.merge_key
    rest = {str(item[name]): item for item in deletions if isinstance(item, dict) and name in item}
    found = []
    for item in additions:
        before = rest.pop(str(item.get(name)), None) if isinstance(item, dict) else None
        found.append(_merged(before, item, type_.element) if before is not None else item)
    found += [item for item in rest.values() if DIRECTIVE not in item]
    places = {str(item.get(name)): place for place, item in enumerate(order) if isinstance(item, dict)}
    if places:
        found.sort(key=lambda item: places.get(str(item.get(name)), len(places)))
    return [*found, *(item for item in rest.values() if DIRECTIVE in item)]
