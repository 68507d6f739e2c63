"""Functions that choose and test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.functions.model import ANY, Kinds, function


def _shared(kinds: Kinds) -> str:
    """The type of a value that is one of several."""
    found = set(kinds)
    if len(found) == 1:
        return kinds[0]
    if found <= set(values.NUMBERS):
        return next(kind for kind in ("decimal", "real", "long", "int") if kind in found)
    return "dynamic"


def _iff(test: Any, yes: Any, no: Any) -> Any:
    return yes if test else no


def _case(*given: Any) -> Any:
    for index in range(0, len(given) - 1, 2):
        if given[index]:
            return given[index + 1]
    return given[-1]


def _results(kinds: Kinds) -> str:
    return _shared([*kinds[1:-1:2], kinds[-1]])


def _coalesce(*given: Any) -> Any:
    return next((value for value in given if value is not None and value != ""), given[-1])


def _is_empty(kinds: Kinds) -> Callable[..., Any]:
    kind = kinds[0]
    return lambda value: values.text(value, kind) == ""


def _not_empty(kinds: Kinds) -> Callable[..., Any]:
    kind = kinds[0]
    return lambda value: values.text(value, kind) != ""


def _least(*given: Any) -> Any:
    return min((v for v in given if v is not None), key=values.ordered, default=None)


def _most(*given: Any) -> Any:
    return max((v for v in given if v is not None), key=values.ordered, default=None)


FUNCTIONS = {
    "iff": function(f"bool {ANY} {ANY}", lambda kinds: _shared(kinds[1:]), _iff, strict=False),
    "case": function(f"{ANY} {ANY} {ANY}", _results, _case, many=True, strict=False),
    "coalesce": function(ANY, _shared, _coalesce, many=True, strict=False),
    "isempty": function(ANY, "bool", _is_empty, by_type=True, strict=False),
    "isnotempty": function(ANY, "bool", _not_empty, by_type=True, strict=False),
    "isnull": function(ANY, "bool", lambda value: value is None, strict=False),
    "isnotnull": function(ANY, "bool", lambda value: value is not None, strict=False),
    "not": function("bool", "bool", lambda value: not value),
    "min_of": function(ANY, _shared, _least, many=True, strict=False),
    "max_of": function(ANY, _shared, _most, many=True, strict=False),
}
