"""Server-side apply: a configuration laid over an object, with owners and conflicts.

Source: k8s.io/apimachinery, pkg/util/managedfields; sigs.k8s.io/structured-merge-diff, package merge.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.apply import field_sets, typed
from azsandbox.kubernetes.apply.field_sets import EMPTY, FieldSet
from azsandbox.kubernetes.apply.managed_fields import (
    APPLY,
    BEFORE_FIRST_APPLY,
    UPDATE,
    Known,
    Manager,
    Managers,
    Owned,
    bare,
    conflicts,
    decode,
    empty_object,
    encode,
    manager_of,
    strip,
    take,
    update,
)
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema.definitions import Type

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"


@dataclass
class Configuration:
    """What is applied, by whom, and to what."""

    applied: Object
    manager: str
    gvk: GroupVersionKind
    type_: Type
    now: str
    force: bool = False
    subresource: str = ""
    reset: FieldSet = field(default_factory=dict)
    known: Known = lambda version: True

    @property
    def owner(self) -> Manager:
        return manager_of(self.manager, APPLY, self.gvk.api_version, self.subresource)


class Conflicting(Exception):
    """Fields that others own, by owner."""

    def __init__(self, fields: dict[Manager, FieldSet]) -> None:
        super().__init__()
        self.fields = fields


def server_side_apply(current: Object | None, configuration: Configuration) -> tuple[Object, list[Object]]:
    """`current` with a configuration applied, and its managedFields; the object is `current` where nothing changed.

    Values are merged, not yet decoded. Raises 409 for conflicts, 400 for another kind or managedFields in the
    configuration, 500 for a configuration that does not fit the type.
    """
    applied, gvk = configuration.applied, configuration.gvk
    found = GroupVersionKind.of(applied)
    if found != gvk:
        raise errors.bad_request(f"invalid object type: {_kind_text(found)}")
    metadata = applied.get("metadata") or {}
    if metadata.get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    live, managers = _live(current, configuration)
    problems = typed.check(configuration.type_, applied)
    if problems:
        shown = problems[0] if len(problems) == 1 else "\n".join(["errors:", *(f"  {text}" for text in problems)])
        name = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}; {_kind_text(gvk)}"
        raise errors.plain_500(f"failed to create typed patch object ({name}): {shown}")
    try:
        try:
            merged, managers = _apply(live, managers, configuration, configuration.force)
        except Conflicting as conflict:
            _allow_from_last_applied(conflict, live, configuration)
            merged, managers = _apply(live, managers, configuration, True)
    except Conflicting as conflict:
        raise _refusal(conflict.fields) from None
    owner = configuration.owner
    own = managers.get(owner)
    if merged is not None and own is not None:
        managers[owner] = replace(own, time=configuration.now)
    obj = current if merged is None and current is not None else merged or {}
    if configuration.manager == _KUBECTL:
        obj = _with_last_applied(obj, applied)
    return obj, encode(managers)


def _kind_text(gvk: GroupVersionKind) -> str:
    return f"{gvk.group}/{gvk.version}, Kind={gvk.kind}"


def _live(current: Object | None, configuration: Configuration) -> tuple[Object, Managers]:
    """The object to apply to and its managers. What was there before the first apply belongs to a manager of its own."""
    empty = empty_object(configuration.type_, configuration.applied)
    if current is None:
        return empty, {}
    try:
        managers = decode(current.get("metadata", {}).get("managedFields"))
    except (ValueError, AttributeError, TypeError) as error:
        raise errors.plain_500(f"failed to decode managed fields: {error}") from None
    live = bare(current)
    if not managers:
        version = configuration.gvk.api_version
        before = manager_of(BEFORE_FIRST_APPLY, UPDATE, version, configuration.subresource)
        try:
            managers = update(
                configuration.type_, empty, live, {}, before, configuration.now, configuration.reset, configuration.known, version
            )  # fmt: skip
        except typed.BadElement:
            raise errors.plain_500(_untyped(live, configuration)) from None
    return live, managers


def _untyped(live: Object, configuration: Configuration) -> str:
    """Why nobody can own the fields of an object that is stored."""
    metadata = live.get("metadata") or {}
    name = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}; {_kind_text(configuration.gvk)}"
    problem = typed.check(configuration.type_, live)[0]
    return (
        "failed to create manager for existing fields: failed to convert new object "
        f"({name}) to smd typed: .{problem.removeprefix('.')}"
    )


def _apply(
    live: Object, managers: Managers, configuration: Configuration, force: bool
) -> tuple[Object | None, Managers]:
    """The merged object, None where it equals `live`, and the managers then. Raises Conflicting."""
    type_, owner, known = configuration.type_, configuration.owner, configuration.known
    merged = typed.merge(type_, live, configuration.applied)
    last = managers.get(owner)
    fields = typed.fields_of(type_, configuration.applied)
    if configuration.reset:
        fields = field_sets.without(fields, configuration.reset)
    managers = {**managers, owner: Owned(fields, configuration.gvk.api_version, last.time if last else "")}
    if last is not None and last.fields:
        merged = _pruned(type_, merged, managers, last.fields)
    difference = typed.compare(type_, live, merged).without(configuration.reset)
    if not force:
        found = conflicts(managers, difference, owner, known)
        if found:
            raise Conflicting(found)
    managers = take(managers, difference, owner, known)
    own = managers.get(owner)
    if own is not None:
        kept = strip(own.fields)
        if kept:
            managers[owner] = replace(own, fields=kept)
        else:
            del managers[owner]
    return (None if live == merged else merged), managers


def _pruned(type_: Type, merged: Any, managers: Managers, last: FieldSet) -> Any:
    """`merged` without what the applier set last time, sets no longer, and nobody else owns."""
    last_named = typed.with_named_fields(type_, last)
    pruned = typed.remove(type_, merged, last_named)
    owned: FieldSet = EMPTY
    for other in managers.values():
        owned = field_sets.union(owned, other.fields)
    everything = typed.with_named_fields(type_, typed.fields_of(type_, merged))
    kept = typed.with_named_fields(type_, typed.fields_of(type_, pruned))
    kept = field_sets.union(kept, typed.with_named_fields(type_, owned))
    pruned = typed.remove(type_, merged, field_sets.difference(everything, kept))
    still = typed.with_named_fields(type_, typed.fields_of(type_, pruned))
    gone = field_sets.intersection(field_sets.difference(everything, still), last_named)
    return typed.remove(type_, merged, gone)


def _refusal(found: dict[Manager, FieldSet]) -> errors.StatusError:
    """409 with a cause for each field."""
    causes: list[Object] = []
    lines: list[str] = []
    for manager in sorted(found, key=lambda item: item.sort_key):
        lines.append(f"conflicts with {manager.text}:")
        for path in field_sets.paths(found[manager]):
            shown = field_sets.path_text(path)
            lines.append(f"- {shown}")
            causes.append(
                {"reason": "FieldManagerConflict", "message": f"conflict with {manager.text}", "field": shown}
            )
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return errors.StatusError(409, "Conflict", text, {"causes": causes})


def _allow_from_last_applied(conflict: Conflicting, live: Object, configuration: Configuration) -> None:
    """Lets kubectl take over the fields that it applied on the client side before. Raises Conflicting for others."""
    allowed = _last_applied_fields(live, configuration) if configuration.manager == _KUBECTL else None
    if allowed is None:
        raise conflict
    left = {manager: field_sets.difference(fields, allowed) for manager, fields in conflict.fields.items()}
    left = {manager: fields for manager, fields in left.items() if fields}
    if left:
        raise Conflicting(left)


def _last_applied_fields(live: Object, configuration: Configuration) -> FieldSet | None:
    """Fields of the last-applied annotation that the object still has so; None without the annotation."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return None
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(last, dict) or last.get("apiVersion") != configuration.gvk.api_version:
        return None
    type_ = configuration.type_
    if typed.check(type_, last):
        return None
    fields = typed.fields_of(type_, last)
    for part in typed.compare(type_, last, live):
        fields = field_sets.difference(fields, part)
    return fields


def _with_last_applied(obj: Object, applied: Object) -> Object:
    """`obj` with its last-applied annotation, where it has one, brought up to date."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return obj
    configuration = copy.deepcopy(applied)
    own = (configuration.get("metadata") or {}).get("annotations")
    if own:
        own.pop(LAST_APPLIED, None)
        if not own:
            del configuration["metadata"]["annotations"]
    text = orjson.dumps(configuration, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**annotations, LAST_APPLIED: text}}}
