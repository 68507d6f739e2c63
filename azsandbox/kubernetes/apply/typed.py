"""Values along their types: which fields they set, how two differ, how they merge.

A list is a leaf (atomic), a set of scalars, or a map by keys; an object or a map is a leaf where it is atomic.
Source: sigs.k8s.io/structured-merge-diff, package typed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from azsandbox.kubernetes.apply import field_sets
from azsandbox.kubernetes.apply.field_sets import EMPTY, LEAF, FieldSet
from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema.definitions import ANYTHING, Type


class _Absent:
    """A value that is not there, which is not null."""


ABSENT = _Absent()


class BadElement(ValueError):
    """An element of a list that has no key."""


class Comparison(NamedTuple):
    """How one value differs from another."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    def without(self, excluded: FieldSet) -> Comparison:
        """The same difference without some fields and what is below them."""
        return Comparison(*(field_sets.without(part, excluded) for part in self)) if excluded else self

    @property
    def empty(self) -> bool:
        return not any(self)


# --- what a type is for the purpose of ownership


def _child(type_: Type, name: str) -> Type:
    return type_.child(name) or ANYTHING


def _declared(type_: Type, name: str) -> bool:
    """Whether a field is named by the type, and not one of many in a map."""
    return type_.kind == d.OBJECT and name in type_.by_name


def _granular_map(type_: Type, value: Any) -> bool:
    if type_.kind not in (d.OBJECT, d.MAP, d.ANY):  # what Go keeps as it came has one owner
        return False
    return type_.map_type != "atomic"


def _keyed_list(type_: Type) -> bool:
    return type_.kind == d.LIST and type_.list_type in ("map", "set")


def element_step(type_: Type, item: Any) -> str:
    """The step to an element of a list. Raises BadElement for one that has no identity."""
    keys = type_.list_map_keys
    if type_.list_type == "map" and keys:
        if item is None:
            raise BadElement("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise BadElement("associative list with keys may not have non-map elements")
        defaults = type_.key_defaults
        found = {}
        for key in keys:
            if key in item:
                found[key] = item[key]
            elif key in defaults:
                found[key] = defaults[key]
        if not found:
            shown = " ".join(f'"{key}"' for key in keys)
            raise BadElement(
                f"associative list with keys has an element that omits all key fields [{shown}] "
                "(and doesn't have default values for any key fields)"
            )
        return field_sets.key_step(found)
    if isinstance(item, dict):
        raise BadElement("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise BadElement("not supported: associative list with lists as elements")
    if item is None:
        raise BadElement("associative list without keys has an element that's an explicit null")
    return field_sets.value_step(item)


def _by_step(type_: Type, items: list[Any]) -> dict[str, list[Any]]:
    """Elements by their step. Raises BadElement for one that has none."""
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(element_step(type_, item), []).append(item)
    return found


# --- differences


def compare(type_: Type, left: Any, right: Any) -> Comparison:
    """How `right` differs from `left`."""
    return Comparison(*_compare(type_, left, right))


_SAME = (EMPTY, EMPTY, EMPTY)


def _compare(type_: Type, left: Any, right: Any) -> tuple[FieldSet, FieldSet, FieldSet]:
    """Added, modified and removed below a value that is there on both sides."""
    if left == right and type(left) is type(right):
        return _SAME
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    if isinstance(left, dict) or isinstance(right, dict):
        lefts, rights = left or {}, right or {}
        for name in rights.keys() | lefts.keys():
            _step(
                _child(type_, name),
                f"f:{name}",
                lefts.get(name, ABSENT),
                rights.get(name, ABSENT),
                added,
                modified,
                removed,
            )
        return added, modified, removed
    assert type_.element is not None
    lefts_by, rights_by = _by_step(type_, left or []), _by_step(type_, right or [])
    for step in {**lefts_by, **rights_by}:
        old, new = lefts_by.get(step, []), rights_by.get(step, [])
        if len(old) <= 1 and len(new) <= 1:
            _step(type_.element, step, old[0] if old else ABSENT, new[0] if new else ABSENT, added, modified, removed)
        elif len(old) >= 2 and len(new) >= 2:
            if old != new:
                modified[step] = LEAF
        elif len(old) >= 2:
            if new:
                added[step] = everything(type_.element, new[0])
            removed[step] = LEAF
        else:
            if old:
                removed[step] = everything(type_.element, old[0])
            added[step] = LEAF
    return added, modified, removed


def _step(
    type_: Type, step: str, left: Any, right: Any, added: FieldSet, modified: FieldSet, removed: FieldSet
) -> None:
    """Notes the difference of two values at a step, where either may be absent."""
    if left is ABSENT:
        added[step] = everything(type_, right)
    elif right is ABSENT:
        removed[step] = everything(type_, left)
    elif left != right or type(left) is not type(right):
        if _is_leaf(type_, left, right):
            modified[step] = LEAF
            return
        below = _compare(type_, left, right)
        for target, found in zip((added, modified, removed), below, strict=True):
            if found:
                target[step] = found


def _is_leaf(type_: Type, left: Any, right: Any) -> bool:
    """Whether two values that differ are compared as wholes."""
    if not left and not right:
        return True
    for value in (left, right):
        if value is None:
            continue
        if isinstance(value, dict):
            if not _granular_map(type_, value):
                return True
        elif not (isinstance(value, list) and _keyed_list(type_)):
            return True
    return (isinstance(left, dict) and isinstance(right, list)) or (isinstance(left, list) and isinstance(right, dict))


def everything(type_: Type, value: Any) -> FieldSet:
    """All that comes with a value that was not there before: itself and each field in it."""
    if isinstance(value, dict):
        if not value or not _granular_map(type_, value):
            return LEAF
        if type_.kind == d.OBJECT:
            by_name = type_.by_name
            found: FieldSet = {".": LEAF}
            for name, item in value.items():
                if isinstance(item, (dict, list)):
                    field = by_name.get(name)
                    found[f"f:{name}"] = everything(field.type if field is not None else _child(type_, name), item)
                else:
                    found[f"f:{name}"] = LEAF
            return found
        element = type_.element or ANYTHING
        return {".": LEAF, **{f"f:{name}": everything(element, item) for name, item in value.items()}}
    if isinstance(value, list) and value and _keyed_list(type_):
        assert type_.element is not None
        found = {".": LEAF}
        for step, items in _by_step(type_, value).items():
            found[step] = everything(type_.element, items[0]) if len(items) == 1 else LEAF
        return found if len(found) > 1 else LEAF
    return LEAF


def fields_of(type_: Type, value: Any) -> FieldSet:
    """The fields that an applied configuration sets: leaves, elements of lists and entries of maps."""
    found = _fields_of(type_, value)
    return EMPTY if found is None else found


def _fields_of(type_: Type, value: Any) -> FieldSet | None:
    """The set below a value, LEAF where the value itself counts, None where nothing does."""
    if isinstance(value, dict) and _granular_map(type_, value):
        found: FieldSet = {}
        for name, item in value.items():
            below = _fields_of(_child(type_, name), item)
            member = item is None or item == {} or not _declared(type_, name)
            _note(found, f"f:{name}", below, member)
        return found or None
    if isinstance(value, list) and _keyed_list(type_):
        assert type_.element is not None
        found = {}
        for step, items in _by_step(type_, value).items():
            if len(items) > 1:
                found[step] = LEAF
            else:
                _note(found, step, _fields_of(type_.element, items[0]), True)
        return found or None
    if value is None and type_.kind in (d.OBJECT, d.MAP, d.ANY, d.RAW, d.LIST):
        return None if type_.kind != d.LIST or _keyed_list(type_) else LEAF
    return LEAF


def _note(found: FieldSet, step: str, below: FieldSet | None, member: bool) -> None:
    if below is None:
        if member:
            found[step] = LEAF
    elif not below:
        found[step] = LEAF
    else:
        found[step] = {".": LEAF, **below} if member else below


# --- merging and removing


def merge(type_: Type, left: Any, right: Any) -> Any:
    """`right` laid over `left`; ABSENT where nothing is left. Elements that both have stand in `right`'s order."""
    if right is ABSENT:
        return left
    if left is ABSENT and not isinstance(right, (dict, list)):
        return right
    maps = isinstance(left, dict) or isinstance(right, dict)
    lists = isinstance(left, list) or isinstance(right, list)
    fits = all(value is ABSENT or value is None or isinstance(value, dict if maps else list) for value in (left, right))
    some = (left is not ABSENT and left) or right
    if maps and fits and some and _granular_map(type_, right):
        lefts = left if isinstance(left, dict) else {}
        rights = right or {}
        merged = {}
        for name in {**lefts, **rights}:
            found = merge(_child(type_, name), lefts.get(name, ABSENT), rights.get(name, ABSENT))
            if found is not ABSENT:
                merged[name] = found
        return merged or ABSENT
    if lists and not maps and fits and some and _keyed_list(type_):
        return _merge_lists(type_, left if isinstance(left, list) else [], right or []) or ABSENT
    return right


def _merge_lists(type_: Type, left: list[Any], right: list[Any]) -> list[Any]:
    element = type_.element
    assert element is not None
    left_items = [(element_step(type_, item), item) for item in left]
    right_items = [(element_step(type_, item), item) for item in right]
    left_by: dict[str, Any] = {}
    for step, item in left_items:
        left_by[step] = None if step in left_by else item
    right_by = dict(right_items)
    shared = [step for step, _ in right_items if step in left_by]
    wanted = shared.pop(0) if shared else None
    merged: list[Any] = []
    done: set[str] = set()

    def take(step: str, old: Any, new: Any) -> None:
        found = merge(element, old, new)
        if found is not ABSENT:
            merged.append(found)

    i = j = 0
    while i < len(left_items) or j < len(right_items):
        if i < len(left_items) and j < len(right_items):
            step = left_items[i][0]
            if step == right_items[j][0]:
                done.add(step)
                take(step, left_by[step], right_by[step])
                i, j = i + 1, j + 1
                wanted = shared.pop(0) if shared else None
                continue
            if step in right_by and wanted is not None and wanted != step:
                i += 1
                continue
        if i < len(left_items):
            step, item = left_items[i]
            if step not in right_by:
                take(step, item, ABSENT)
                i += 1
                continue
            if step in done:
                i += 1
        if j < len(right_items):
            step = right_items[j][0]
            done.add(step)
            take(step, left_by.get(step, ABSENT), right_by[step])
            j += 1
            if wanted == step:
                wanted = shared.pop(0) if shared else None
    return merged


def remove(type_: Type, value: Any, doomed: FieldSet) -> Any:
    """A value without some fields; None where nothing is left of a map or list."""
    if isinstance(value, dict) and value:
        if not _granular_map(type_, value):
            return None
        kept = {}
        for name, item in value.items():
            below = doomed.get(f"f:{name}")
            if below is None:
                kept[name] = item
            elif not field_sets.is_member(below):
                kept[name] = remove(_child(type_, name), item, below)
        return kept or None
    if isinstance(value, list) and value:
        if not _keyed_list(type_):
            return None
        assert type_.element is not None
        items = []
        for item in value:
            below = doomed.get(element_step(type_, item))
            if below is None:
                items.append(item)
            elif not field_sets.is_member(below):
                items.append(remove(type_.element, item, below))
        return items or None
    return None if isinstance(value, (dict, list)) else value


def with_named_fields(type_: Type | None, fields: FieldSet) -> FieldSet:
    """A set that holds the declared fields on the way to its members too."""
    found: FieldSet = {}
    for step, node in fields.items():
        if step == "." or not node:
            found[step] = node
            continue
        child: Type | None = None
        declared = False
        if type_ is not None:
            if step[:2] == "f:":
                name = step[2:]
                declared = _declared(type_, name)
                child = _child(type_, name)
            elif step[:2] == "k:":
                child = type_.element
        below = with_named_fields(child, node)
        found[step] = {**below, ".": LEAF} if declared else below
    return found


# --- validation


def check(type_: Type, value: Any) -> list[str]:
    """Errors of a value that does not fit its type, each with its path."""
    return _check(type_, value, "")


def _shown(value: Any) -> str:
    from azsandbox.kubernetes.patch.go_text import go_value

    return f"&{{{go_value(value)}}}"


_STRINGS = (d.STRING, d.BYTES)


def _check(type_: Type, value: Any, path: str) -> list[str]:
    if value is None:
        return []
    head = f"{path}: " if path else ""
    kind = type_.kind
    if kind in (d.OBJECT, d.MAP):
        if not isinstance(value, dict):
            return [f"{head}expected map, got {_shown(value)}"]
        return _check_map(type_, value, path)
    if kind == d.LIST:
        if not isinstance(value, list):
            return [f"{head}expected list, got {_shown(value)}"]
        return _check_list(type_, value, path)
    if kind in (d.ANY, d.RAW):
        return []
    if kind in _STRINGS and not isinstance(value, str):
        return [f"{head}expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"]
    if kind in (d.INTEGER, d.NUMBER) and (isinstance(value, bool) or not isinstance(value, (int, float))):
        from azsandbox.kubernetes.patch.go_text import go_type

        return [f"{head}expected numeric (int or float), got {go_type(value)}"]
    if kind == d.BOOLEAN and not isinstance(value, bool):
        return [f"{head}expected boolean, got {_shown(value)}"]
    if isinstance(value, (dict, list)):
        return [f"{head}expected any scalar, got {_shown(value)}"]
    return []


def _go_syntax(value: Any) -> str:
    """A value as Go's %#v prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return field_sets.value_text(value)
    if isinstance(value, dict):
        return "map[string]interface {}{" + ", ".join(f'"{k}":{_go_syntax(v)}' for k, v in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go_syntax, value)) + "}"
    return "interface {}(nil)" if value is None else str(value)


def _check_map(type_: Type, value: dict[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for name, item in value.items():
        child = type_.child(name)
        if child is None:
            if type_.kind == d.OBJECT and not type_.preserve_unknown:
                found.append(f"{path}.{name}: field not declared in schema")
                break
            child = ANYTHING
        found += _check(child, item, f"{path}.{name}")
    return found


def _check_list(type_: Type, value: list[Any], path: str) -> list[str]:
    assert type_.element is not None
    head = f"{path}: " if path else ""
    found: list[str] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        shown = f"[{index}]"
        if _keyed_list(type_):
            try:
                step = element_step(type_, item)
            except BadElement as error:
                return [*found, f"{head}element {index}: {error}"]
            shown = field_sets.step_text(step)
            if step in seen:
                found.append(f"{head}duplicate entries for key {shown}")
            seen.add(step)
        found += _check(type_.element, item, path + shown)
    return found
