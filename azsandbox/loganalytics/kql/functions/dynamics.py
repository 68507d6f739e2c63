"""Functions of dynamic values: arrays and property bags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.functions.model import ANY, Kinds, function


def _array_length(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


def _array_index_of(kinds: Kinds) -> Callable[..., Any]:
    def compute(array: Any, wanted: Any) -> int | None:
        if not isinstance(array, list):
            return None
        return next((i for i, item in enumerate(array) if item == wanted), -1)

    return compute


def _concat(*arrays: Any) -> list[Any]:
    return [item for array in arrays for item in (array if isinstance(array, list) else [array])]


def _slice(array: Any, start: int, end: int) -> Any:
    if not isinstance(array, list):
        return None
    start, end = (index + len(array) if index < 0 else index for index in (start, end))
    return array[max(0, start) : end + 1]


def _bag_pack(*pairs: Any) -> dict[str, Any]:
    return {str(pairs[i]): pairs[i + 1] for i in range(0, len(pairs) - 1, 2)}


def _jsonable(kinds: Kinds) -> Callable[..., Any]:
    def one(value: Any, kind: str) -> Any:
        return values.text(value, kind) if kind in ("timespan", "decimal", "datetime") and value is not None else value

    return lambda *given: [one(value, kind) for value, kind in zip(given, kinds, strict=True)]


def _packed(kinds: Kinds) -> Callable[..., Any]:
    made = _jsonable(kinds)
    return lambda *given: _bag_pack(*made(*given))


def _union(*arrays: Any) -> list[Any]:
    found = {values.key(item): item for item in _concat(*arrays)}
    return list(found.values())


def _difference(first: Any, *others: Any) -> list[Any]:
    gone = {values.key(item) for item in _concat(*others)}
    return [item for item in _union(first) if values.key(item) not in gone]


def _intersect(*arrays: Any) -> list[Any]:
    keep = [{values.key(item) for item in array} for array in arrays[1:] if isinstance(array, list)]
    return [item for item in _union(arrays[0]) if all(values.key(item) in found for found in keep)]


FUNCTIONS = {
    "array_length": function("dynamic", "long", _array_length),
    "array_index_of": function(f"dynamic {ANY}", "long", _array_index_of, by_type=True),
    "array_concat": function("dynamic", "dynamic", _concat, many=True),
    "array_slice": function("dynamic long long", "dynamic", _slice),
    "array_reverse": function("dynamic", "dynamic", lambda array: array[::-1] if isinstance(array, list) else None),
    "bag_keys": function("dynamic", "dynamic", lambda bag: list(bag) if isinstance(bag, dict) else None),
    "bag_has_key": function("dynamic string", "bool", lambda bag, key: isinstance(bag, dict) and key in bag),
    "bag_pack": function(f"string {ANY}", "dynamic", _packed, many=True, by_type=True, strict=False),
    "pack_array": function(ANY, "dynamic", _jsonable, many=True, by_type=True, strict=False),
    "set_has_element": function(
        f"dynamic {ANY}", "bool", lambda array, item: isinstance(array, list) and item in array
    ),
    "set_union": function("dynamic dynamic", "dynamic", _union, many=True),
    "set_difference": function("dynamic dynamic", "dynamic", _difference, many=True),
    "set_intersect": function("dynamic dynamic", "dynamic", _intersect, many=True),
}
