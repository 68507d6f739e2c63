"""Strategic merge patch: lists merge by a key that the type names, and directives steer the merge.

Rules, order of elements and texts: k8s.io/apimachinery, pkg/util/strategicpatch.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.patch.go_text import go_type, go_value
from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema.definitions import Type

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList"
ELEMENT_ORDER = "$setElementOrder"

_BAD_PRIMITIVE_LIST = "invalid patch format of primitive list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ELEMENT_ORDER = "invalid patch format of setElementOrder list"


def apply(current: dict[str, Any], patch: dict[str, Any], type_: Type) -> dict[str, Any]:
    """`current` with a patch merged in along its type; both may be changed. Raises 400, 422 or 500."""
    return _merge_map(current, patch, type_)


def _no_merge_key(element: dict[str, Any], key: str) -> errors.StatusError:
    return errors.plain_500(f"map: {go_value(element)} does not contain declared merge key: {key}")


def _bad_type(expected: str, actual: Any) -> errors.StatusError:
    return errors.plain_500(f"expected a {expected}, but received a {go_type(actual)}")


def _merge_map(original: dict[str, Any] | None, patch: dict[str, Any], type_: Type | None) -> dict[str, Any]:
    if DIRECTIVE in patch:
        return _directive(patch)
    original = {} if original is None else original
    _retain_keys(original, patch)
    _ordered_lists(original, patch, type_)
    for key, value in patch.items():
        deletes = key.startswith(DELETE_PRIMITIVES)
        name = _extract(key, DELETE_PRIMITIVES) if deletes else key
        if value is None:
            original.pop(name, None)
            continue
        before = original.get(name)
        both_maps = isinstance(before, dict) and isinstance(value, dict)
        both_lists = isinstance(before, list) and isinstance(value, list)
        if name not in original or not (both_maps or both_lists):
            if deletes:
                continue
            _discard_nulls(value)
            if _is_directive(value):
                original.pop(name, None)
            else:
                original[name] = _without_directives(value)
        elif both_maps:
            child = lookup(type_, name)
            original[name] = value if "replace" in child.strategies else _merge_map(before, value, child)
        else:
            child = lookup(type_, name)
            if child.kind not in (d.LIST, d.ANY):
                raise errors.plain_500(f"expected slice or array type, but got: {type_.kind if type_ else ''}")
            if "merge" in child.strategies or deletes:
                original[name] = _merge_list(before or [], value, child, deletes)
            else:
                original[name] = value
    return original


def lookup(type_: Type | None, name: str) -> Type:
    """The type of a field, with its merge key and strategies."""
    if type_ is None or type_.kind in (d.ANY, d.RAW):
        return d.ANYTHING
    found = type_.child(name)
    if found is None:
        struct = type_.go.rpartition(".")[2]
        raise errors.plain_500(f'unable to find api field in struct {struct} for the json field "{name}"')
    return found


def _directive(patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch[DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    raise errors.plain_500(f"unknown patch type: {go_value(directive)} in map: {go_value(patch)}")


def _extract(key: str, prefix: str) -> str:
    head, separator, name = key.partition("/")
    if not separator or head != prefix:
        raise errors.bad_request(_BAD_PRIMITIVE_LIST if prefix == DELETE_PRIMITIVES else _BAD_ELEMENT_ORDER)
    return name


def _retain_keys(original: dict[str, Any], patch: dict[str, Any]) -> None:
    """Drops the keys of `original` that `$retainKeys` does not name."""
    if RETAIN_KEYS not in patch:
        return
    retained = patch.pop(RETAIN_KEYS)
    if not isinstance(retained, list):
        raise errors.bad_request(_BAD_RETAIN_KEYS)
    for key, value in patch.items():
        if value is None or key.startswith((DELETE_PRIMITIVES, ELEMENT_ORDER)):
            continue
        if key not in retained:
            raise errors.bad_request(_BAD_RETAIN_KEYS)
    for key in [key for key in original if key not in retained]:
        del original[key]


def _is_directive(value: Any) -> bool:
    return isinstance(value, dict) and DIRECTIVE in value


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if not _is_directive(item)}
    if isinstance(value, list):
        return [_without_directives(item) for item in value if not _is_directive(item)]
    return value


def _discard_nulls(value: Any) -> None:
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            del value[key]
        for item in value.values():
            _discard_nulls(item)
    elif isinstance(value, list):
        for item in value:
            _discard_nulls(item)


# --- lists


def _ordered_lists(original: dict[str, Any], patch: dict[str, Any], type_: Type | None) -> None:
    """Merges each list that has a `$setElementOrder` beside it, and puts it in that order."""
    for directive in [key for key in patch if key.startswith(ELEMENT_ORDER)]:
        order = patch.pop(directive)
        if not isinstance(order, list):
            raise _bad_type("[]interface {}", order)
        name = _extract(directive, ELEMENT_ORDER)
        for found in (original.get(name), patch.get(name)):
            if found is not None and not isinstance(found, list):
                raise _bad_type("[]interface {}", found)
        child = lookup(type_, name)
        before, change = original.get(name), patch.get(name)
        _check_order(change or [], order, child.merge_key)
        if before is None and change is None:
            continue
        if change is None:
            merged = before or []
        elif before is None:
            merged = _without_directives(change)
        elif "merge" in child.strategies:
            merged = _merge_list(before, change, child, False)
        else:
            merged = change
        key = child.merge_key
        in_order, server_only = _partition(merged, order, key)
        maps = _are_maps(before or [], change or [])
        original[name] = _in_order(in_order, server_only, order, before or [], key, maps)
        patch.pop(name, None)


def _check_order(change: list[Any], order: list[Any], key: str) -> None:
    """The elements of a list must come in `$setElementOrder`, in the same order."""
    if not change or not order:
        return
    kept = [item for item in change if not (key and isinstance(item, dict) and item.get(DIRECTIVE) == "delete")]
    index = position = 0
    while index < len(kept) and position < len(order):
        if _is_directive(kept[index]):
            index += 1
            continue
        if _identity(kept[index], key, True) == _identity(order[position], key, True):
            index += 1
        position += 1
    if index < len(kept) and position >= len(order):
        raise errors.plain_500(
            f"The order in patch list:\n{go_value(change)}\n doesn't match {ELEMENT_ORDER} list:\n{go_value(order)}\n"
        )


def _identity(item: Any, key: str, needed: bool = False) -> Any:
    """What tells an element from the others: its merge key, or itself."""
    if not key:
        return item
    if not isinstance(item, dict):
        if needed:
            raise _bad_type("map[string]interface {}", item)
        return None
    if needed and key not in item:
        raise _no_merge_key(item, key)
    return item.get(key)


def _are_maps(*lists: list[Any]) -> bool:
    """Whether the elements of lists are objects. All must be of one type, and none a list."""
    items = [item for each in lists for item in each]
    if not items:
        return False
    first = go_type(items[0])
    for item in items:
        if isinstance(item, list):
            raise errors.StatusError(
                422, "Invalid", "the server rejected our request due to an error in our request", {}
            )
        if item is None or go_type(item) != first:
            raise errors.plain_500(f"list element types are not identical: {go_value(list(lists))}")
    return isinstance(items[0], dict)


def _merge_list(original: list[Any], patch: list[Any], type_: Type, deletes: bool) -> list[Any]:
    if not original and not patch:
        return original
    key = type_.merge_key
    maps = _are_maps(original, patch)
    if not maps:
        if deletes:
            return [item for item in original if item not in patch]
        merged: list[Any] = []
        for item in [*original, *patch]:
            if item not in merged:
                merged.append(item)
    else:
        if not key:
            raise errors.plain_500("cannot merge lists without merge key for struct")
        original, patch = _special_elements(original, patch, key)
        merged = list(original)
        for item in patch:
            if key not in item:
                raise _no_merge_key(item, key)
            index = next((i for i, other in enumerate(merged) if key in other and other[key] == item[key]), -1)
            if index < 0:
                merged.append(item)
            else:
                merged[index] = _merge_map(merged[index], item, type_.element)
    in_patch, server_only = _partition(merged, patch, key)
    return _in_order(in_patch, server_only, patch, original, key, maps)


def _special_elements(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Obeys the elements with `$patch` and leaves them out."""
    plain: list[Any] = []
    replace = False
    for item in patch:
        if DIRECTIVE not in item:
            plain.append(item)
            continue
        directive = item[DIRECTIVE]
        if directive == "delete":
            if key not in item:
                raise _no_merge_key(item, key)
            original = [other for other in original if key not in other or other[key] != item[key]]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise errors.plain_500("merging lists cannot yet be specified in the patch")
        else:
            raise errors.plain_500(f"unknown patch type: {go_value(directive)} in map: {go_value(item)}")
    return (plain, []) if replace else (original, plain)


def _partition(items: list[Any], by: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """The elements that are in `by` too, and the others."""
    known = [_identity(item, key) for item in by]
    inside: list[Any] = []
    outside: list[Any] = []
    for item in items:
        (inside if _identity(item, key, True) in known else outside).append(item)
    return inside, outside


def _in_order(
    patch: list[Any], server_only: list[Any], patch_order: list[Any], server_order: list[Any], key: str, maps: bool
) -> list[Any]:
    """Both lists as one: each in its own order, those of the server where they stood among their neighbours."""
    left = _sorted(server_only, server_order, key, maps)
    right = _sorted(patch, patch_order, key, maps)
    places = [_identity(item, key) for item in server_order]

    def place(item: Any) -> int:
        identity = _identity(item, key)
        return places.index(identity) if identity in places else -1

    merged: list[Any] = []
    while left and right:
        first, second = place(left[0]), place(right[0])
        merged.append(left.pop(0) if 0 <= first < second else right.pop(0))
    return [*merged, *left, *right]


def _sorted(items: list[Any], order: list[Any], key: str, maps: bool) -> list[Any]:
    """Elements in the order of a list. An element that is not in it goes ahead, as Go's insertion sort puts it."""
    if maps:
        for item in [*items, *order]:
            _identity(item, key, True)
    deleted = [item for item in items if _is_directive(item) and item[DIRECTIVE] == "delete"]
    kept = [item for item in items if item not in deleted] if deleted else list(items)
    places = [_identity(item, key) for item in order]
    ranks = [places.index(i) if (i := _identity(item, key)) in places else -1 for item in kept]
    for index in range(1, len(kept)):
        position = index
        while position and (ranks[position] < 0 or ranks[position - 1] < 0 or ranks[position] < ranks[position - 1]):
            kept[position], kept[position - 1] = kept[position - 1], kept[position]
            ranks[position], ranks[position - 1] = ranks[position - 1], ranks[position]
            position -= 1
    return [*kept, *deleted]
