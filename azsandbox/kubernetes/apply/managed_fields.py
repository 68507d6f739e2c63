"""metadata.managedFields: who set which fields, by what operation and when.

Source: k8s.io/apimachinery, pkg/util/managedfields; sigs.k8s.io/structured-merge-diff, package merge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from azsandbox.kubernetes.apply import field_sets, typed
from azsandbox.kubernetes.apply.field_sets import EMPTY, FieldSet
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema.definitions import Type
from azsandbox.kubernetes.schema.typed_values import zero

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATE_MANAGERS = 10
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"

# what belongs to nobody: the server sets it
_STRIPPED = field_sets.of(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)


class Manager(NamedTuple):
    """Whose an entry is. An applier has one entry whatever the version it applies in."""

    name: str
    operation: str
    api_version: str  # "" for Apply
    subresource: str

    @property
    def sort_key(self) -> str:
        """The JSON by which Kubernetes identifies and sorts managers."""
        names = {"manager": self.name, "operation": self.operation}
        if self.api_version:
            names["apiVersion"] = self.api_version
        if self.subresource:
            names["subresource"] = self.subresource
        return orjson.dumps(names).decode()

    @property
    def text(self) -> str:
        """The manager as conflicts name it."""
        shown = field_sets.value_text(self.name)
        if self.subresource:
            shown += f" with subresource {field_sets.value_text(self.subresource)}"
        return f"{shown} using {self.api_version}" if self.operation == UPDATE else shown


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, in which version, and since when."""

    fields: FieldSet
    api_version: str
    time: str = ""


Managers = dict[Manager, Owned]
Known = Callable[[str], bool]  # whether an API version of the kind is still served
Elsewhere = Callable[[str], "typed.Comparison | None"]  # what a change is in another API version, where it is another


def manager_of(name: str, operation: str, api_version: str, subresource: str) -> Manager:
    return Manager(name or "unknown", operation, "" if operation == APPLY else api_version, subresource)


def decode(entries: Any) -> Managers:
    """managedFields of an object. Raises ValueError for entries that make no sense."""
    found: Managers = {}
    for index, entry in enumerate(entries or ()):
        operation = entry.get("operation")
        if operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not entry.get("apiVersion"):
            raise ValueError("apiVersion must not be empty")
        fields_type = entry.get("fieldsType")
        if not fields_type:
            raise ValueError(f"missing fieldsType in managed fields entry {index}")
        if fields_type != "FieldsV1":
            raise ValueError(f'invalid fieldsType "{fields_type}" in managed fields entry {index}')
        version = entry["apiVersion"]
        name = entry.get("manager", "")
        manager = Manager(name, operation, "" if operation == APPLY else version, entry.get("subresource", ""))
        fields = field_sets.decode(entry.get("fieldsV1") or {})
        found[manager] = Owned(fields, version, entry.get("time") or "")
    return found


def encode(managers: Managers) -> list[Object]:
    """managedFields as they lie in an object: appliers first, then by time and name."""
    found = []
    for manager, owned in managers.items():
        entry: Object = {"manager": manager.name, "operation": manager.operation, "apiVersion": owned.api_version}
        if not manager.name:
            del entry["manager"]
        if owned.time:
            entry["time"] = owned.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = field_sets.ordered(owned.fields)
        if manager.subresource:
            entry["subresource"] = manager.subresource
        found.append(entry)
    if len(found) > 1:
        found.sort(key=_entry_order)
    return found


def _entry_order(entry: Object) -> tuple[str, str, str, str, str]:
    return (
        entry["operation"],
        entry.get("time", ""),
        entry.get("manager", ""),
        entry["apiVersion"],
        entry.get("subresource", ""),
    )


def _is_reset(entries: Any) -> bool:
    """Whether a client asks to forget all managers: an empty list, or one empty entry."""
    return isinstance(entries, list) and (not entries or (len(entries) == 1 and not any(entries[0].values())))


def _live_or_new(live: Object | None, new: Object, subresource: str) -> Managers:
    """The managers that hold before an update: those in the body where it has some, else those stored."""
    stored = (live or {}).get("metadata", {}).get("managedFields")
    if not subresource:
        wanted = new.get("metadata", {}).get("managedFields")
        if _is_reset(wanted):
            return {}
        try:
            found = decode(wanted)
            if found:
                return found
        except (ValueError, AttributeError, TypeError):
            pass
    try:
        return decode(stored)
    except (ValueError, AttributeError, TypeError):
        return {}


def bare(obj: Object) -> Object:
    """An object without managedFields, which nobody owns."""
    metadata = obj.get("metadata")
    if metadata and "managedFields" in metadata:
        return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
    return obj


def empty_object(type_: Type, obj: Object) -> Object:
    """What an object is compared with before there is one: the zero value of its type."""
    if type_.schema is not None:
        return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    found = zero(type_)
    return found if isinstance(found, dict) else {}


def record_update(
    new: Object,
    old: Object | None,
    manager: str,
    api_version: str,
    subresource: str,
    now: str,
    type_: Type,
    reset: FieldSet = EMPTY,
    known: Known = lambda version: True,
    elsewhere: Elsewhere = lambda version: None,
) -> None:
    """Writes into `new` who owns its fields after a create, an update or a patch by `manager`.

    `reset` are fields that this write cannot set; `now` is the time as metav1.Time.
    """
    managers = _live_or_new(old, new, subresource)
    metadata = new.setdefault("metadata", {})
    metadata.pop("managedFields", None)
    if not managers and old is not None and old.get("metadata", {}).get("uid"):
        return  # the object was created before its fields were tracked, or they were reset
    live = empty_object(type_, new) if old is None else bare(old)
    try:
        managers = update(type_, live, new, managers, manager_of(manager, UPDATE, api_version, subresource), now, reset, known, api_version, elsewhere)  # fmt: skip
    except typed.BadElement:
        return
    managers = _capped(managers)
    if managers:
        metadata["managedFields"] = encode(managers)


def update(
    type_: Type,
    live: Object,
    new: Object,
    managers: Managers,
    manager: Manager,
    now: str,
    reset: FieldSet,
    known: Known,
    api_version: str,
    elsewhere: Elsewhere = lambda version: None,
) -> Managers:
    """The managers after `manager` changed `live` to `new`: it owns what it changed, and the others no longer do."""
    difference = typed.compare(type_, live, new)
    managers = take(managers, difference.without(reset), None, known, elsewhere)
    own = field_sets.union(difference.modified, difference.added)
    if reset:
        own = field_sets.without(own, reset)
    own = field_sets.difference(own, _STRIPPED)
    if own:
        previous = managers.get(manager)
        fields = field_sets.union(own, previous.fields) if previous else own
        managers[manager] = Owned(fields, api_version, now)
    return managers


def take(
    managers: Managers,
    difference: typed.Comparison,
    but: Manager | None,
    known: Known,
    elsewhere: Elsewhere = lambda version: None,
) -> Managers:
    """The managers without the fields that changed under them; those left without any are gone."""
    found: Managers = {}
    for manager, owned in managers.items():
        if manager != but:
            if not known(owned.api_version):
                continue
            fields = owned.fields
            seen = elsewhere(owned.api_version) or difference
            changed = field_sets.union(seen.modified, seen.added)
            if changed:
                fields = field_sets.difference(fields, changed)
            if seen.removed and fields:
                fields = field_sets.difference(fields, seen.removed)
            if not fields:
                continue
            owned = owned if fields is owned.fields else replace(owned, fields=fields)
        elif not owned.fields:
            continue
        found[manager] = owned
    return found


def conflicts(managers: Managers, difference: typed.Comparison, but: Manager, known: Known) -> dict[Manager, FieldSet]:
    """The fields that others own and a change would touch."""
    changed = field_sets.union(difference.modified, difference.added)
    found = {}
    for manager, owned in managers.items():
        if manager == but or not known(owned.api_version):
            continue
        touched = field_sets.intersection(owned.fields, changed)
        if touched:
            found[manager] = touched
    return found


def strip(fields: FieldSet) -> FieldSet:
    """A set without what belongs to nobody."""
    return field_sets.difference(fields, _STRIPPED)


def _capped(managers: Managers) -> Managers:
    """At most ten entries of updates: the oldest become one by version, named ancient-changes."""
    updaters = [manager for manager in managers if manager.operation == UPDATE]
    length = len(updaters)
    if length <= MAX_UPDATE_MANAGERS:
        return managers
    updaters.sort(key=lambda manager: (managers[manager].time, manager.sort_key))
    first: dict[str, Manager] = {}
    for manager in updaters:
        if length <= MAX_UPDATE_MANAGERS:
            break
        owned = managers[manager]
        bucket = Manager(ANCIENT, UPDATE, owned.api_version, "")
        if owned.api_version not in first:
            first[owned.api_version] = manager
            continue
        if bucket not in managers:
            managers[bucket] = managers.pop(first[owned.api_version])
        fields = field_sets.union(owned.fields, managers[bucket].fields)
        if bucket != manager:
            del managers[manager]
        managers[bucket] = Owned(fields, owned.api_version, owned.time)
        length -= 1
    return managers
