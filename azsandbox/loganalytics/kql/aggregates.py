"""Aggregates of `summarize`: each is given a function of a row, and adds up the rows of a group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.compiler import Compiled, Scope, as_type, compile_
from azsandbox.loganalytics.kql.errors import NotSupported, SemanticError
from azsandbox.loganalytics.kql.naming import name_of
from azsandbox.loganalytics.kql.syntax import Call, Expression, Literal, Name, Star
from azsandbox.loganalytics.kql.table import Column, Row

MOST_ITEMS = 1_048_576
"""Items of make_list() and make_set() where a query names no bound (Kusto's own)."""

Group = Sequence[Row]


@dataclass(frozen=True)
class Aggregate:
    """One call: the columns that it gives, and their values for the rows of a group."""

    columns: tuple[Column, ...]
    values: Callable[[Group], tuple[Any, ...]]


_NAMES_WORDS = """
    count countif dcount dcountif count_distinct sum sumif avg avgif min minif max maxif make_set make_set_if make_list
    make_list_if arg_max arg_min percentile percentiles any take_any take_anyif anyif stdev variance make_bag
"""
NAMES = frozenset(_NAMES_WORDS.split())
_OTHERS_WORDS = """
    hll hll_merge tdigest tdigest_merge merge_tdigest percentilew percentiles_array percentilesw stdevif stdevp variancep
    varianceif binary_all_and binary_all_or binary_all_xor buildschema covariance make_bag_if make_list_with_nulls
    count_distinctif argmax argmin makelist makeset
"""
_OTHERS = frozenset(_OTHERS_WORDS.split())


def is_aggregate(expression: Expression) -> bool:
    """Whether an expression calls an aggregate somewhere in it."""
    if isinstance(expression, Call):
        return expression.name in NAMES | _OTHERS or any(map(is_aggregate, expression.arguments))
    parts = [getattr(expression, name, None) for name in ("left", "right", "operand", "base", "expression")]
    return any(part is not None and is_aggregate(part) for part in parts)


def aggregate(call: Call, name: str, scope: Scope) -> Aggregate:
    """The aggregate of a call; `name` is what the query calls its result, "" if nothing."""
    if call.name in _OTHERS:
        raise NotSupported(f"the aggregate '{call.name}'")
    if call.name in ("arg_max", "arg_min"):
        return _arg(call, name, scope)
    if call.name == "percentiles":
        return _percentiles(call, scope)
    if call.name in ("take_any", "any") and any(isinstance(a, Star) for a in call.arguments):
        return Aggregate(scope.columns, lambda rows: rows[0] if rows else (None,) * len(scope.columns))
    if call.name not in _MAKERS:
        raise SemanticError("SEM0260", f"Unknown function: '{call.name}'.")
    least, most, make = _MAKERS[call.name]
    if not least <= len(call.arguments) <= most:
        raise SemanticError("SEM0219", f"{call.name}(): function expects {least} argument(s).")
    kind, compute = make(call, [compile_(argument, scope) for argument in call.arguments])
    return Aggregate((Column(name or _default(call), kind),), lambda rows: (compute(rows),))


def _default(call: Call) -> str:
    """What Kusto calls the result of an aggregate that has no name: count_, sum_Size, percentile_Size_95."""
    first = name_of(call.arguments[0]) if call.arguments else ""
    if call.name in ("countif", "count"):
        return f"{call.name}_"
    if call.name == "percentile" and isinstance(call.arguments[1], Literal):
        return f"percentile_{first}_{call.arguments[1].value}"
    if call.name == "take_any":
        return first
    stem = {"make_set": "set", "make_list": "list", "make_set_if": "set", "make_list_if": "list", "make_bag": "bag"}
    return f"{stem.get(call.name, call.name)}_{first}"


# --- those of one value

Made = tuple[str, Callable[[Group], Any]]


def _given(found: Compiled, rows: Group) -> list[Any]:
    return [value for row in rows if (value := found.value(row)) is not None]


def _filtered(inner: Callable[[Call, list[Compiled]], Made], at: int) -> Callable[[Call, list[Compiled]], Made]:
    """The form with a condition, `at` being the argument that holds it."""

    def make(call: Call, given: list[Compiled]) -> Made:
        condition, rest = given[at].value, [*given[:at], *given[at + 1 :]]
        kind, compute = inner(call, rest)
        return kind, lambda rows: compute([row for row in rows if condition(row)])

    return make


def _count(call: Call, given: list[Compiled]) -> Made:
    return "long", len


def _dcount(call: Call, given: list[Compiled]) -> Made:
    return "long", lambda rows: len({values.key(value) for value in _given(given[0], rows)})


def _number(found: Compiled, what: str) -> Compiled:
    if found.type == "dynamic":
        return Compiled("real", as_type(found, "real"))
    if found.type not in (*values.NUMBERS, "timespan"):
        raise SemanticError("SEM0024", f"{what}(): argument #1 expected to be a numeric expression, found {found.type}")
    return found


def _sum(call: Call, given: list[Compiled]) -> Made:
    found = _number(given[0], call.name)
    kind = "long" if found.type == "int" else found.type

    def compute(rows: Group) -> Any:
        parts = _given(found, rows)
        return sum(parts[1:], parts[0]) if parts else values.convert(0, "long", kind)

    return kind, compute


def _avg(call: Call, given: list[Compiled]) -> Made:
    found = _number(given[0], call.name)

    def compute(rows: Group) -> Any:
        parts = _given(found, rows)
        if not parts:
            return None if found.type == "timespan" else math.nan
        return sum(parts[1:], parts[0]) / len(parts)

    return ("timespan" if found.type == "timespan" else "real"), compute


def _extreme(choose: Callable[..., Any]) -> Callable[[Call, list[Compiled]], Made]:
    def make(call: Call, given: list[Compiled]) -> Made:
        found = given[0]
        return found.type, lambda rows: choose(_given(found, rows), key=values.ordered, default=None)

    return make


def _jsoned(value: Any, kind: str) -> Any:
    """A value as an item of a dynamic array."""
    return (
        values.text(value, kind)
        if kind in ("timespan", "decimal")
        else (values.written_datetime(value, full=True) if kind == "datetime" else value)
    )


def _bound(given: list[Compiled]) -> int:
    return int(given[1].value(())) if len(given) > 1 else MOST_ITEMS


def _make_list(call: Call, given: list[Compiled]) -> Made:
    found, most = given[0], _bound(given)
    return "dynamic", lambda rows: [_jsoned(value, found.type) for value in _given(found, rows)][:most]


def _make_set(call: Call, given: list[Compiled]) -> Made:
    found, most = given[0], _bound(given)

    def compute(rows: Group) -> list[Any]:
        seen = {values.key(value): value for value in _given(found, rows) if value != "" or found.type != "string"}
        return [_jsoned(value, found.type) for value in seen.values()][:most]

    return "dynamic", compute


def _make_bag(call: Call, given: list[Compiled]) -> Made:
    def compute(rows: Group) -> dict[str, Any]:
        bag: dict[str, Any] = {}
        for value in _given(given[0], rows):
            if isinstance(value, dict):
                bag = {**value, **bag}
        return bag

    return "dynamic", compute


def _any(call: Call, given: list[Compiled]) -> Made:
    found = given[0]
    return found.type, lambda rows: next(iter(_given(found, rows)), None)


def _percentile(call: Call, given: list[Compiled]) -> Made:
    found, rank = _number(given[0], call.name), _rank(given[1])
    return found.type, lambda rows: nearest_rank(_given(found, rows), rank)


def _rank(found: Compiled) -> float:
    if not found.constant or found.type not in values.NUMBERS:
        raise SemanticError("SEM0219", "percentile(): a number between 0 and 100 is expected")
    return float(found.value(()))


def nearest_rank(parts: list[Any], rank: float) -> Any:
    """The value at a percentile, by nearest rank."""
    if not parts:
        return None
    ordered = sorted(parts, key=values.ordered)
    return ordered[max(0, math.ceil(rank / 100 * len(ordered)) - 1)]


def _spread(root: bool) -> Callable[[Call, list[Compiled]], Made]:
    def make(call: Call, given: list[Compiled]) -> Made:
        found = Compiled("real", as_type(_number(given[0], call.name), "real"))

        def compute(rows: Group) -> float:
            parts = [float(value) for value in _given(found, rows)]
            if len(parts) < 2:
                return 0.0
            mean = sum(parts) / len(parts)
            variance = sum((part - mean) ** 2 for part in parts) / (len(parts) - 1)
            return math.sqrt(variance) if root else variance

        return "real", compute

    return make


_MAKERS: dict[str, tuple[int, int, Callable[[Call, list[Compiled]], Made]]] = {
    "count": (0, 1, _count),
    "countif": (1, 1, _filtered(_count, 0)),
    "dcount": (1, 2, _dcount),
    "count_distinct": (1, 1, _dcount),
    "dcountif": (2, 3, _filtered(_dcount, 1)),
    "sum": (1, 1, _sum),
    "sumif": (2, 2, _filtered(_sum, 1)),
    "avg": (1, 1, _avg),
    "avgif": (2, 2, _filtered(_avg, 1)),
    "min": (1, 1, _extreme(min)),
    "minif": (2, 2, _filtered(_extreme(min), 1)),
    "max": (1, 1, _extreme(max)),
    "maxif": (2, 2, _filtered(_extreme(max), 1)),
    "make_list": (1, 2, _make_list),
    "make_list_if": (2, 3, _filtered(_make_list, 1)),
    "make_set": (1, 2, _make_set),
    "make_set_if": (2, 3, _filtered(_make_set, 1)),
    "make_bag": (1, 1, _make_bag),
    "any": (1, 1, _any),
    "take_any": (1, 1, _any),
    "take_anyif": (2, 2, _filtered(_any, 1)),
    "anyif": (2, 2, _filtered(_any, 1)),
    "percentile": (2, 2, _percentile),
    "stdev": (1, 1, _spread(True)),
    "variance": (1, 1, _spread(False)),
}


# --- those of several


def _arg(call: Call, name: str, scope: Scope) -> Aggregate:
    """arg_max and arg_min: the row in which the first argument is greatest or least, and what else of it is wanted."""
    if len(call.arguments) < 2:
        raise SemanticError("SEM0219", f"{call.name}(): function expects at least 2 argument(s).")
    by = compile_(call.arguments[0], scope)
    choose = max if call.name == "arg_max" else min
    first = name or name_of(call.arguments[0]) or "Column1"
    parts: list[tuple[str, Compiled]] = []
    for argument in call.arguments[1:]:
        if isinstance(argument, Star):
            taken = {first, *(column for column, _ in parts)}
            parts += [(c.name, compile_(Name(c.name), scope)) for c in scope.columns if c.name not in taken]
        else:
            parts.append((name_of(argument) or f"Column{len(parts) + 2}", compile_(argument, scope)))

    def compute(rows: Group) -> tuple[Any, ...]:
        candidates = [row for row in rows if by.value(row) is not None]
        row = choose(candidates, key=lambda r: values.ordered(by.value(r)), default=None)
        if row is None:
            return (None,) * (len(parts) + 1)
        return (by.value(row), *(part.value(row) for _, part in parts))

    return Aggregate((Column(first, by.type), *(Column(n, part.type) for n, part in parts)), compute)


def _percentiles(call: Call, scope: Scope) -> Aggregate:
    if len(call.arguments) < 2:
        raise SemanticError("SEM0219", "percentiles(): function expects at least 2 argument(s).")
    found = _number(compile_(call.arguments[0], scope), call.name)
    ranks = [_rank(compile_(argument, scope)) for argument in call.arguments[1:]]
    stem = name_of(call.arguments[0])
    columns = tuple(Column(f"percentile_{stem}_{rank:g}", found.type) for rank in ranks)
    return Aggregate(columns, lambda rows: tuple(nearest_rank(_given(found, rows), rank) for rank in ranks))
