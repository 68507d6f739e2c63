"""Who owns the replicas of an object that is scaled: managers of its Scale, and of the object itself.

Source: k8s.io/apimachinery, pkg/util/managedfields/scalehandler.go.
"""

from __future__ import annotations

from dataclasses import replace

from azsandbox.kubernetes.apply import field_sets, managed_fields, typed
from azsandbox.kubernetes.apply.field_sets import EMPTY, Path
from azsandbox.kubernetes.apply.managed_fields import UPDATE, Managers, Owned, manager_of
from azsandbox.kubernetes.apply.server_side import Configuration, server_side_apply
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema.definitions import Type

SCALE = GroupVersionKind("autoscaling", "v1", "Scale")
_REPLICAS = field_sets.of(("f:spec", "f:replicas"))


def path_of(json_path: str) -> Path:
    """The path of fields of a simple JSON path: `.spec.replicas`."""
    return tuple(f"f:{part}" for part in json_path.strip(".").split("."))


def _decoded(obj: Object) -> Managers:
    try:
        return managed_fields.decode(obj["metadata"].get("managedFields"))
    except (ValueError, AttributeError, TypeError):
        return {}


def of_scale(obj: Object, path: Path) -> Managers:
    """The managers of an object's Scale: those that own its replicas."""
    return {
        manager: Owned(_REPLICAS, SCALE.api_version, owned.time)
        for manager, owned in _decoded(obj).items()
        if field_sets.has(owned.fields, path)
    }


def to_object(new: Object, old: Object, scale: Managers, path: Path, api_version: str) -> None:
    """Writes into `new` the managers of `old` after those of its Scale became `scale`. New entries have no time."""
    replicas = field_sets.of(path)
    left, found = dict(scale), {}
    for manager, owned in _decoded(old).items():
        if not field_sets.has(owned.fields, path) or left.pop(manager, None) is not None:
            found[manager] = owned
        else:
            fields = field_sets.difference(owned.fields, replicas)
            if fields:
                found[manager] = replace(owned, fields=fields)
    for manager, owned in left.items():
        if field_sets.has(owned.fields, ("f:spec", "f:replicas")):
            found[manager] = Owned(replicas, api_version)
    new["metadata"].pop("managedFields", None)
    if found:
        new["metadata"]["managedFields"] = managed_fields.encode(found)


def record_scale(
    new: Object,
    old: Object,
    before: Object,
    after: Object,
    manager: str,
    path: Path,
    api_version: str,
    type_: Type,
    now: str,
) -> None:
    """Notes in `new` that `manager` scaled it: `before` and `after` are its Scale."""
    managers = of_scale(old, path)
    if not _decoded(old):
        return
    left, right = {"spec": before.get("spec") or {}}, {"spec": after.get("spec") or {}}
    difference = typed.compare(type_, left, right)
    managers = managed_fields.take(managers, difference, None, lambda version: True)
    own = field_sets.union(difference.modified, difference.added)
    if own != EMPTY:
        managers[manager_of(manager, UPDATE, SCALE.api_version, "scale")] = Owned(own, SCALE.api_version, now)
    to_object(new, old, managers, path, api_version)


def apply_scale(
    scale: Object, old: Object, applied: Object, manager: str, force: bool, path: Path, type_: Type, now: str
) -> tuple[Object, Managers]:
    """The Scale that a server-side apply makes, and its managers. Raises 409 for conflicts, 400, 500."""
    current = {**scale, "metadata": {**scale["metadata"]}}
    managers = of_scale(old, path)
    if managers:
        current["metadata"]["managedFields"] = managed_fields.encode(managers)
    configuration = Configuration(applied, manager, SCALE, type_, now, force, "scale")
    merged, entries = server_side_apply(current, configuration)
    return merged, managed_fields.decode(entries)
