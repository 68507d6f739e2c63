"""The operators between pipes, each from a table to a table. Joins, unions and `summarize` have modules of their own."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import budget, values
from azsandbox.loganalytics.kql.compiler import Compiled, Scope, compile_
from azsandbox.loganalytics.kql.errors import SemanticError, unresolved
from azsandbox.loganalytics.kql.naming import name_of, unique
from azsandbox.loganalytics.kql.syntax import Expression, Literal, Name, Named, Operator, Star
from azsandbox.loganalytics.kql.table import Column, Row, Table

Apply = Callable[[Operator, Table, Scope], Table]


def where(operator: Operator, table: Table, scope: Scope) -> Table:
    condition = compile_(operator.expressions[0], scope)
    if condition.type not in ("bool", "dynamic", "int", "long"):
        raise SemanticError("SEM0024", f"The expression is of type {condition.type}, and must be of type bool")
    return table.with_rows([row for row in table.rows if condition.value(row)])


def _cells(named: Named, scope: Scope, taken: set[str], number: int) -> list[tuple[str, Compiled]]:
    """The columns of one item of project or extend: one, or of (a, b) = array one each."""
    found = compile_(named.expression, scope)
    if not named.names:
        name = named.name or name_of(named.expression) or f"Column{number}"
        return [(unique(name, taken) if not named.name and name in taken else name, found)]

    def item(index: int) -> Compiled:
        def value(row: Row) -> Any:
            array = found.value(row)
            return array[index] if isinstance(array, list) and index < len(array) else None

        return Compiled("dynamic", value)

    return [(name, item(index)) for index, name in enumerate(named.names)]


def project(operator: Operator, table: Table, scope: Scope) -> Table:
    cells: list[tuple[str, Compiled]] = []
    taken: set[str] = set()
    for number, named in enumerate(operator.expressions, 1):
        if isinstance(named.expression, Star):
            cells += [(column.name, compile_(Name(column.name), scope)) for column in table.columns]
            continue
        for name, found in _cells(named, scope, taken, number):
            if any(name == other for other, _ in cells):
                raise SemanticError("SEM0127", f"The name '{name}' is already in use")
            taken.add(name)
            cells.append((name, found))
    return _made(cells, table)


def _made(cells: list[tuple[str, Compiled]], table: Table) -> Table:
    computed = [found.value for _, found in cells]
    columns = [Column(name, found.type) for name, found in cells]
    return Table(columns, [tuple(value(row) for value in computed) for row in table.rows])


def extend(operator: Operator, table: Table, scope: Scope) -> Table:
    cells = [(column.name, compile_(Name(column.name), scope)) for column in table.columns]
    taken = {column.name for column in table.columns}
    for number, named in enumerate(operator.expressions, 1):
        for name, found in _cells(named, scope, taken, number):
            at = next((i for i, (other, _) in enumerate(cells) if other == name), None)
            if at is None:
                cells.append((name, found))
            else:
                cells[at] = (name, found)
    return _made(cells, table)


def _matching(table: Table, patterns: Any) -> list[str]:
    """Names of columns that patterns mean, in the patterns' order. Raises SemanticError for a plain one that is none."""
    found: list[str] = []
    for pattern, order in patterns:
        if "*" not in pattern and table.index(pattern) is None:
            raise unresolved(pattern)
        names = [c.name for c in table.columns if fnmatch.fnmatchcase(c.name, pattern) and c.name not in found]
        found += sorted(names, reverse=order == "desc") if order else names
    return found


def _kept(table: Table, names: list[str]) -> Table:
    at = [i for name in names if (i := table.index(name)) is not None]
    return Table([table.columns[i] for i in at], [tuple(row[i] for i in at) for row in table.rows])


def project_away(operator: Operator, table: Table, scope: Scope) -> Table:
    gone = _matching(table, operator.options["patterns"])
    return _kept(table, [c.name for c in table.columns if c.name not in gone])


def project_keep(operator: Operator, table: Table, scope: Scope) -> Table:
    kept = _matching(table, operator.options["patterns"])
    return _kept(table, [c.name for c in table.columns if c.name in kept])


def project_reorder(operator: Operator, table: Table, scope: Scope) -> Table:
    first = _matching(table, operator.options["patterns"])
    return _kept(table, [*first, *(c.name for c in table.columns if c.name not in first)])


def project_rename(operator: Operator, table: Table, scope: Scope) -> Table:
    renamed: dict[str, str] = {}
    for named in operator.expressions:
        old = name_of(named.expression)
        if not named.name or table.index(old) is None:
            raise unresolved(old)
        renamed[old] = named.name
    return Table([Column(renamed.get(c.name, c.name), c.type) for c in table.columns], table.rows)


# --- how many, in which order


def number_of(expression: Expression, scope: Scope) -> int:
    """A count that a query names. Raises SemanticError."""
    found = compile_(expression, scope.over(()))
    value = found.value(())
    if found.type not in ("int", "long") or not isinstance(value, int):
        raise SemanticError("SEM0024", f"a number of rows is expected, found {found.type}")
    return max(0, value)


def take(operator: Operator, table: Table, scope: Scope) -> Table:
    return table.with_rows(table.rows[: number_of(operator.expressions[0], scope)])


def order(operator: Operator, table: Table, scope: Scope) -> Table:
    rows = list(table.rows)
    for named, descending, nulls_first in reversed(operator.options["keys"]):
        found = compile_(named.expression, scope)
        if found.type == "dynamic":
            raise SemanticError(
                "SEM0024",
                "order operator: key can't be of dynamic type. Try adding an explicit cast such as tostring()",
            )
        key = functools.partial(_sort_key, found, descending, nulls_first)
        rows.sort(key=key, reverse=descending)
    return table.with_rows(rows)


def _sort_key(found: Compiled, descending: bool, nulls_first: bool, row: Row) -> tuple[int, Any]:
    value = found.value(row)
    if value is None:
        return (1 if descending == nulls_first else -1, 0)
    return (0, values.ordered(value))


def top(operator: Operator, table: Table, scope: Scope) -> Table:
    count = number_of(operator.expressions[0], scope)
    ordered = order(operator, table, scope)
    return table.with_rows(ordered.rows[:count])


def count(operator: Operator, table: Table, scope: Scope) -> Table:
    return Table([Column("Count", "long")], [(len(table.rows),)])


def distinct(operator: Operator, table: Table, scope: Scope) -> Table:
    found = project(operator, table, scope)
    for column in found.columns:
        if column.type == "dynamic":
            raise SemanticError(
                "SEM0024", f"'{column.name}' is of dynamic type. Try adding an explicit cast such as tostring()"
            )
    return found.with_rows(list(dict.fromkeys(found.rows)))


# --- shapes


def getschema(operator: Operator, table: Table, scope: Scope) -> Table:
    columns = [Column("ColumnName", "string"), Column("ColumnOrdinal", "int")]
    columns += [Column("DataType", "string"), Column("ColumnType", "string")]
    rows = [(column.name, i, values.CLR[column.type], column.type) for i, column in enumerate(table.columns)]
    return Table(columns, rows, "getschema")


def mv_expand(operator: Operator, table: Table, scope: Scope) -> Table:
    """A row for each item of an array, or key of a bag; the arrays of several columns go side by side."""
    wanted: list[tuple[str, Compiled, str]] = []
    for number, named in enumerate(operator.expressions):
        found = compile_(named.expression, scope)
        if found.type != "dynamic":
            raise SemanticError("SEM0088", f"mv-expand: expression of type {found.type} is not of type dynamic")
        name = named.name or name_of(named.expression)
        wanted.append((name, found, operator.options["types"].get(number, "dynamic")))
    columns = list(table.columns)
    at: list[int] = []
    for name, _, kind in wanted:
        index = next((i for i, column in enumerate(columns) if column.name == name), None)
        if index is None:
            index = len(columns)
            columns.append(Column(name, kind))
        columns[index] = Column(name, kind)
        at.append(index)
    index_name = operator.options.get("index")
    limit = operator.options.get("limit")
    most = number_of(limit, scope) if limit is not None else None
    rows = []
    for row in table.rows:
        expanded = [_items(found.value(row)) for _, found, _ in wanted]
        longest = max(1, *map(len, expanded)) if expanded else 1
        for position in range(longest if most is None else min(longest, most)):
            made = [*row, *[None] * (len(columns) - len(row))]
            for items, index, (_, _, kind) in zip(expanded, at, wanted, strict=True):
                item = items[position] if position < len(items) else None
                made[index] = values.convert(item, "dynamic", kind)
            rows.append((*made, position) if index_name else tuple(made))
            budget.check(len(rows))
    if index_name:
        columns.append(Column(index_name, "long"))
    return Table(columns, rows)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [{key: item} for key, item in value.items()]
    return value if isinstance(value, list) else [value]


def parse(operator: Operator, table: Table, scope: Scope) -> Table:
    """Columns from a text by a pattern: what stands between texts; the rest of it is passed over."""
    subject = compile_(operator.expressions[0], scope)
    pattern = operator.options["pattern"]
    wanted = [(name, kind) for part, name, kind in pattern if part == "column"]
    columns = [c for c in table.columns if c.name not in {name for name, _ in wanted}]
    kept = [i for i, c in enumerate(table.columns) if c in columns]
    rows = []
    for row in table.rows:
        found = _parsed(values.text(subject.value(row), subject.type), pattern)
        cells = [values.convert(found.get(name, ""), "string", kind) for name, kind in wanted]
        rows.append((*(row[i] for i in kept), *cells))
    return Table([*columns, *(Column(name, kind) for name, kind in wanted)], rows)


def _parsed(text: str, pattern: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    at, column, loose = 0, "", False
    for part, word, _ in pattern:
        if part == "text":
            start = text.find(word, at) if column or loose else (at if text.startswith(word, at) else -1)
            if start < 0:
                return {}
            if column:
                found[column] = text[at:start]
            at, column, loose = start + len(word), "", False
        elif part == "any":
            loose = True
        else:
            column = word
    if column:
        found[column] = text[at:]
    return found


def unchanged(operator: Operator, table: Table, scope: Scope) -> Table:
    return table


# --- tables that a query makes


def print_(operator: Operator, scope: Scope) -> Table:
    columns, row = [], []
    for number, named in enumerate(operator.expressions):
        found = compile_(named.expression, scope)
        columns.append(Column(named.name or f"print_{number}", found.type))
        row.append(found.value(()))
    return Table(columns, [tuple(row)])


def range_(operator: Operator, scope: Scope) -> Table:
    first, last, step = (compile_(named.expression, scope) for named in operator.expressions)
    value, end, by = first.value(()), last.value(()), step.value(())
    rows: list[Row] = []
    up = by > type(by)(0)
    while by and (value <= end if up else value >= end):
        rows.append((value,))
        budget.check(len(rows))
        value = value + by
    kind = "real" if first.type == "long" and step.type == "real" else first.type
    return Table([Column(operator.options["column"], kind)], rows)


def datatable(operator: Operator, scope: Scope) -> Table:
    columns = [Column(name, kind) for name, kind in operator.options["columns"]]
    cells = []
    for number, named in enumerate(operator.expressions):
        found = compile_(named.expression, scope)
        if not found.constant:
            raise SemanticError("SEM0001", "datatable: literals are expected")
        kind = columns[number % len(columns)].type
        is_null = isinstance(named.expression, Literal) and named.expression.value is None
        cells.append("" if is_null and kind == "string" else values.convert(found.value(()), found.type, kind))
    width = len(columns)
    if len(cells) % width:
        raise SemanticError("SEM0087", f"datatable: the number of values, {len(cells)}, is no multiple of {width}")
    return Table(columns, [tuple(cells[i : i + width]) for i in range(0, len(cells), width)])


OPERATORS: dict[str, Apply] = {
    "where": where,
    "filter": where,
    "project": project,
    "project-away": project_away,
    "project-keep": project_keep,
    "project-reorder": project_reorder,
    "project-rename": project_rename,
    "extend": extend,
    "take": take,
    "limit": take,
    "order": order,
    "sort": order,
    "top": top,
    "count": count,
    "distinct": distinct,
    "getschema": getschema,
    "mv-expand": mv_expand,
    "mvexpand": mv_expand,
    "parse": parse,
    "serialize": unchanged,
    "as": unchanged,
    "render": unchanged,
}
SOURCES: dict[str, Callable[[Operator, Scope], Table]] = {"print": print_, "range": range_, "datatable": datatable}
