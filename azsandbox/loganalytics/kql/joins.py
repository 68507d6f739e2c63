"""join, lookup and union: several tables into one."""

from __future__ import annotations

from typing import Any

from azsandbox.loganalytics.kql import budget, values
from azsandbox.loganalytics.kql.errors import SemanticError, unresolved
from azsandbox.loganalytics.kql.naming import unique
from azsandbox.loganalytics.kql.syntax import Binary, Expression, Member, Name, Operator
from azsandbox.loganalytics.kql.table import Column, Row, Table


def join(operator: Operator, left: Table, right: Table) -> Table:
    """Rows of two tables with equal keys, as far as `kind` wants them."""
    pairs = [_pair(named.expression, left, right) for named in operator.expressions]
    kind = operator.options["kind"]
    for one, other in pairs:
        kinds = left.columns[one].type, right.columns[other].type
        for column in (left.columns[one], right.columns[other]):
            if column.type == "dynamic":
                text = f"join key '{column.name}' is of a 'dynamic' type. Please use an explicit cast"
                raise SemanticError("SEM0091", text)
        if kinds[0] != kinds[1] and not set(kinds) <= {"int", "long", "real"}:
            raise SemanticError("SEM0091", f"join keys are of different types, {kinds[0]} and {kinds[1]}")
    if kind in ("leftsemi", "leftanti", "rightsemi", "rightanti"):
        return _one_side(kind, pairs, left, right)
    hidden = {other for _, other in pairs} if operator.name == "lookup" else set()
    kept = [i for i in range(len(right.columns)) if i not in hidden]
    taken: set[str] = set()
    columns = [Column(unique(c.name, taken), c.type) for c in left.columns]
    columns += [Column(unique(right.columns[i].name, taken), right.columns[i].type) for i in kept]
    by_key: dict[Any, list[Row]] = {}
    for row in right.rows:
        by_key.setdefault(_key(row, [p[1] for p in pairs]), []).append(row)
    rows: list[Row] = []
    matched: set[Any] = set()
    none_left, none_right = _empty(left.columns), _empty([right.columns[i] for i in kept])
    for row in _unique(left.rows, pairs) if kind == "innerunique" else left.rows:
        key = _key(row, [p[0] for p in pairs])
        found = by_key.get(key, []) if key is not None else []
        if found:
            matched.add(key)
        rows += [(*row, *(other[i] for i in kept)) for other in found]
        budget.check(len(rows))
        if not found and kind in ("leftouter", "fullouter"):
            rows.append((*row, *none_right))
    if kind in ("rightouter", "fullouter"):
        for key, others in by_key.items():
            if key is None or key not in matched:
                rows += [(*none_left, *(other[i] for i in kept)) for other in others]
    return Table(columns, rows)


def _pair(expression: Expression, left: Table, right: Table) -> tuple[int, int]:
    """Where the key is in each table: on Name, or on $left.A == $right.B."""
    if isinstance(expression, Name):
        return _index(left, expression.name), _index(right, expression.name)
    if isinstance(expression, Binary) and expression.sign == "==":
        sides = {_side(part): part for part in (expression.left, expression.right)}
        if set(sides) == {"$left", "$right"}:
            names = [str(getattr(part.key, "value", "")) for part in (sides["$left"], sides["$right"])]  # type: ignore[union-attr]
            return _index(left, names[0]), _index(right, names[1])
    raise SemanticError("SEM0100", "join: only equality of columns is allowed in the attribute list")


def _side(part: Expression) -> str:
    return part.base.name if isinstance(part, Member) and isinstance(part.base, Name) else ""


def _index(table: Table, name: str) -> int:
    found = table.index(name)
    if found is None:
        raise unresolved(name)
    return found


def _key(row: Row, at: list[int]) -> Any:
    """The key of a row; None where a part of it is null, which equals nothing."""
    cells = tuple(row[i] for i in at)
    return None if any(cell is None for cell in cells) else tuple(map(values.key, cells))


def _unique(rows: Any, pairs: list[tuple[int, int]]) -> list[Row]:
    found: dict[Any, Row] = {}
    for row in rows:
        found.setdefault(_key(row, [p[0] for p in pairs]), row)
    return list(found.values())


def _empty(columns: Any) -> tuple[Any, ...]:
    return tuple("" if column.type == "string" else None for column in columns)


def _one_side(kind: str, pairs: list[tuple[int, int]], left: Table, right: Table) -> Table:
    one, other, here, there = (left, right, 0, 1) if kind.startswith("left") else (right, left, 1, 0)
    known = {_key(row, [p[there] for p in pairs]) for row in other.rows} - {None}
    wanted = kind.endswith("semi")
    return one.with_rows([row for row in one.rows if (_key(row, [p[here] for p in pairs]) in known) == wanted])


def union(operator: Operator, tables: list[tuple[str, Table]]) -> Table:
    """Rows of all tables; kind=inner keeps the columns that all have. One name of two types becomes two columns."""
    order: list[Column] = []
    for _, table in tables:
        order += [column for column in table.columns if column not in order]
    if operator.options["kind"] == "inner":
        order = [column for column in order if all(column in table.columns for _, table in tables)]
    doubled = {c.name for c in order if sum(other.name == c.name for other in order) > 1}
    source = operator.options.get("withsource")
    columns = [Column(f"{c.name}_{c.type}" if c.name in doubled else c.name, c.type) for c in order]
    rows: list[Row] = []
    for name, table in tables:
        at = [table.columns.index(column) if column in table.columns else None for column in order]
        empty = _empty(order)
        for row in table.rows:
            cells = tuple(empty[n] if i is None else row[i] for n, i in enumerate(at))
            rows.append((name, *cells) if source else cells)
    return Table([Column(source, "string"), *columns] if source else columns, rows)
