"""summarize: rows into groups, and what is added up of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.aggregates import Aggregate, aggregate, is_aggregate
from azsandbox.loganalytics.kql.compiler import Compiled, Scope, compile_
from azsandbox.loganalytics.kql.errors import SemanticError
from azsandbox.loganalytics.kql.naming import name_of, unique
from azsandbox.loganalytics.kql.syntax import Binary, Call, Expression, Member, Name, Named, Operator, Unary
from azsandbox.loganalytics.kql.table import Column, Row, Table


def summarize(operator: Operator, table: Table, scope: Scope) -> Table:
    """A row for each group that `by` makes; without `by` one row, also of no rows at all."""
    by = _keys(operator, scope)
    parts = [_part(named, number, scope) for number, named in enumerate(operator.expressions, 1)]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    shown: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in table.rows:
        cells = tuple(found.value(row) for _, found in by)
        key = tuple(map(values.key, cells))
        groups.setdefault(key, []).append(row)
        shown.setdefault(key, cells)
    if not by and not groups:
        groups[()], shown[()] = [], ()
    taken: set[str] = set()
    columns = [Column(unique(name, taken), found.type) for name, found in by]
    columns += [Column(unique(c.name, taken), c.type) for part in parts for c in part.columns]
    rows = []
    for key, members in groups.items():
        made = [value for part in parts for value in part.values(members)]
        rows.append((*shown[key], *made))
    return Table(columns, rows)


def _keys(operator: Operator, scope: Scope) -> list[tuple[str, Compiled]]:
    found = []
    for number, named in enumerate(operator.by, 1):
        compiled = compile_(named.expression, scope)
        name = named.name or name_of(named.expression) or f"Column{number}"
        if compiled.type == "dynamic":
            raise SemanticError(
                "SEM0139",
                f"Summarize group key '{name}' is of a 'dynamic' type. "
                f"Please use an explicit cast (for example, 'summarize ... by tostring({name})') "
                f"as grouping by a 'dynamic' type is not supported.",
            )
        found.append((name, compiled))
    return found


def _part(named: Named, number: int, scope: Scope) -> Aggregate:
    """One aggregate, or an expression of several: sum(a) / count()."""
    expression = named.expression
    if isinstance(expression, Call) and not any(map(is_aggregate, expression.arguments)) and is_aggregate(expression):
        return aggregate(expression, named.name, scope)
    if not is_aggregate(expression):
        raise SemanticError("SEM0001", f"'{name_of(expression) or 'the expression'}' is not an aggregate")
    inner: list[Aggregate] = []
    rewritten = _without_aggregates(expression, scope, inner)
    columns = tuple(Column(f"#{i}", part.columns[0].type) for i, part in enumerate(inner))
    outer = compile_(rewritten, scope.over(columns))
    stem = name_of(expression)
    if not stem and isinstance(expression, Call) and expression.arguments:
        first = expression.arguments[0]
        stem = aggregate(first, "", scope).columns[0].name if isinstance(first, Call) and is_aggregate(first) else ""
    return Aggregate((Column(named.name or stem or f"Column{number}", outer.type),), _combined(inner, outer))


def _combined(inner: list[Aggregate], outer: Compiled) -> Callable[[Any], tuple[Any, ...]]:
    return lambda rows: (outer.value(tuple(part.values(rows)[0] for part in inner)),)


def _without_aggregates(expression: Expression, scope: Scope, found: list[Aggregate]) -> Expression:
    """The expression with a name in place of each aggregate."""
    if isinstance(expression, Call):
        from azsandbox.loganalytics.kql.aggregates import NAMES

        if expression.name in NAMES:
            found.append(aggregate(expression, "", scope))
            return Name(f"#{len(found) - 1}")
        return Call(expression.name, tuple(_without_aggregates(a, scope, found) for a in expression.arguments))
    if isinstance(expression, Binary):
        left = _without_aggregates(expression.left, scope, found)
        return Binary(expression.sign, left, _without_aggregates(expression.right, scope, found))
    if isinstance(expression, Unary):
        return Unary(expression.sign, _without_aggregates(expression.operand, scope, found))
    if isinstance(expression, Member):
        return Member(_without_aggregates(expression.base, scope, found), expression.key)
    return expression
