"""Scalar expressions into functions of a row, with the type that they give."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from azsandbox.loganalytics.kql import strings, values
from azsandbox.loganalytics.kql.errors import NotSupported, SemanticError, unresolved
from azsandbox.loganalytics.kql.syntax import (
    Among,
    Between,
    Binary,
    Call,
    Expression,
    Literal,
    Member,
    Name,
    Named,
    Query,
    Star,
    ToScalar,
    Unary,
)
from azsandbox.loganalytics.kql.table import Column, Row, Table

Value = Callable[[Row], Any]


class Compiled(NamedTuple):
    """An expression: the type of its values, the value for a row, and whether it is the same for all rows."""

    type: str
    value: Value
    constant: bool = False


@dataclass
class Scope:
    """What names mean: columns, what `let` named, the time of the query, and how to run a query within it."""

    columns: tuple[Column, ...] = ()
    lets: Mapping[str, Any] = field(default_factory=dict)
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    run: Callable[[Query], Table] | None = None

    def over(self, columns: tuple[Column, ...]) -> Scope:
        """The same over other columns."""
        return Scope(columns, self.lets, self.now, self.run)


def compile_(expression: Expression, scope: Scope) -> Compiled:
    """The function of a row that an expression is. Raises SemanticError and NotSupported."""
    if isinstance(expression, Literal):
        return constant(expression.value, expression.type)
    if isinstance(expression, Name):
        return _name(expression.name, scope)
    if isinstance(expression, Member):
        return _member(expression, scope)
    if isinstance(expression, Call):
        from azsandbox.loganalytics.kql.functions import call

        return call(expression, scope)
    if isinstance(expression, Unary):
        return _unary(expression, scope)
    if isinstance(expression, Binary):
        return _binary(expression, scope)
    if isinstance(expression, Among):
        return _among(expression, scope)
    if isinstance(expression, Between):
        return _between(expression, scope)
    if isinstance(expression, ToScalar):
        return _to_scalar(expression, scope)
    if isinstance(expression, Named):
        return compile_(expression.expression, scope)
    assert isinstance(expression, Star)
    raise SemanticError("SEM0001", "'*' is not a valid scalar expression here")


def constant(value: Any, kind: str) -> Compiled:
    """A value that does not depend on the row."""
    return Compiled(kind, lambda row: value, True)


def _name(name: str, scope: Scope) -> Compiled:
    for index, column in enumerate(scope.columns):
        if column.name == name:
            return Compiled(column.type, operator.itemgetter(index))
    found = scope.lets.get(name)
    if isinstance(found, Compiled):
        return found
    raise unresolved(name)


def _member(expression: Member, scope: Scope) -> Compiled:
    base, key = compile_(expression.base, scope), compile_(expression.key, scope)
    if base.type != "dynamic":
        raise SemanticError(
            "SEM0028", f"Path expression source must be a column or expression of type dynamic, found {base.type}"
        )

    def value(row: Row) -> Any:
        found, at = base.value(row), key.value(row)
        if isinstance(found, dict):
            return found.get(at) if isinstance(at, str) else None
        if isinstance(found, list) and isinstance(at, int) and -len(found) <= at < len(found):
            return found[at]
        return None

    return Compiled("dynamic", value, base.constant and key.constant)


def _to_scalar(expression: ToScalar, scope: Scope) -> Compiled:
    if scope.run is None:
        raise NotSupported("toscalar() here")
    table = scope.run(expression.query)
    return constant(table.rows[0][0] if table.rows else None, table.columns[0].type)


def _unary(expression: Unary, scope: Scope) -> Compiled:
    found = compile_(expression.operand, scope)
    if found.type not in (*values.NUMBERS, "timespan"):
        raise SemanticError(
            "SEM0022", f"Operator '{expression.sign}' cannot be applied to a value of type {found.type}"
        )
    if expression.sign == "+":
        return found
    return Compiled(found.type, lambda row: None if (v := found.value(row)) is None else -v, found.constant)


# --- two operands


def _binary(expression: Binary, scope: Scope) -> Compiled:
    left, right = compile_(expression.left, scope), compile_(expression.right, scope)
    sign = expression.sign
    fixed = left.constant and right.constant
    if sign in ("and", "or"):
        return Compiled("bool", _logic(sign, left, right), fixed)
    if sign in ("+", "-", "*", "/", "%"):
        found = _arithmetic(sign, left, right)
        return Compiled(found.type, found.value, fixed)
    if sign in ("==", "!=", "<", "<=", ">", ">="):
        return Compiled("bool", comparison(sign, left, right), fixed)
    return Compiled("bool", strings.test(sign, left, right), fixed)


def _logic(sign: str, left: Compiled, right: Compiled) -> Value:
    for side in (left, right):
        if side.type not in ("bool", "dynamic", "int", "long"):
            raise SemanticError("SEM0062", f"The operator '{sign}' expects values of type bool, found {side.type}")
    decisive = sign == "or"

    def value(row: Row) -> bool | None:
        first = left.value(row)
        if first is not None and bool(first) == decisive:
            return decisive
        second = right.value(row)
        if second is not None and bool(second) == decisive:
            return decisive
        return None if first is None or second is None else not decisive

    return value


def comparison(sign: str, left: Compiled, right: Compiled) -> Value:
    """==, != and order. A comparison with null is null, but that a value is not null is known."""
    one, other = common(left, right)
    if sign in ("==", "!="):
        wanted = sign == "=="

        def same(row: Row) -> bool | None:
            a, b = one(row), other(row)
            if a is None or b is None:
                return None if a is None and b is None else not wanted
            return (a == b) == wanted

        return same
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]

    def order(row: Row) -> bool | None:
        a, b = one(row), other(row)
        if a is None or b is None:
            return None
        try:
            return bool(compare(a, b))
        except TypeError:
            return None

    return order


def common(left: Compiled, right: Compiled) -> tuple[Value, Value]:
    """The values of both in one type, so that they compare. Raises SemanticError for types that do not."""
    a, b = left.type, right.type
    if a == b or (a in values.NUMBERS and b in values.NUMBERS):
        if "decimal" in (a, b) and a != b:
            return as_type(left, "decimal"), as_type(right, "decimal")
        return left.value, right.value
    if a == "dynamic":
        return as_type(left, b), right.value
    if b == "dynamic":
        return left.value, as_type(right, a)
    if {a, b} <= {"bool", *values.NUMBERS}:
        return as_type(left, "long"), as_type(right, "long")
    if "guid" in (a, b) and "string" in (a, b):
        return as_type(left, "string"), as_type(right, "string")
    raise SemanticError("SEM0064", f"Cannot compare values of types {a} and {b}. Try adding explicit casts")


def as_type(found: Compiled, kind: str) -> Value:
    """Its values, converted."""
    if found.type == kind:
        return found.value
    inner, source = found.value, found.type
    if found.constant:
        value = values.convert(inner(()), source, kind)
        return lambda row: value
    return lambda row: values.convert(inner(row), source, kind)


def _arithmetic(sign: str, left: Compiled, right: Compiled) -> Compiled:
    a, b = left.type, right.type
    if a == "dynamic":
        left = Compiled("real" if b == "dynamic" else b, as_type(left, "real" if b == "dynamic" else b))
    if b == "dynamic":
        right = Compiled("real" if a == "dynamic" else a, as_type(right, "real" if a == "dynamic" else a))
    a, b = left.type, right.type
    kind = _result(sign, a, b)
    if kind is None:
        raise SemanticError("SEM0020", f"Arithmetic expression cannot be carried-out between {a} and {b}")
    if a in values.NUMBERS and b in values.NUMBERS:
        if kind == "decimal":
            return Compiled(kind, _safely(sign, as_type(left, kind), as_type(right, kind), False))
        return Compiled(kind, _safely(sign, left.value, right.value, kind in ("int", "long")))
    return Compiled(kind, _safely(sign, left.value, right.value, False))


def _result(sign: str, a: str, b: str) -> str | None:
    """The type of a result, or None where types do not go together."""
    if a in values.NUMBERS and b in values.NUMBERS:
        return next(kind for kind in ("decimal", "real", "long", "int") if kind in (a, b))
    pairs = {
        ("+", "datetime", "timespan"): "datetime",
        ("+", "timespan", "datetime"): "datetime",
        ("-", "datetime", "timespan"): "datetime",
        ("-", "datetime", "datetime"): "timespan",
        ("+", "timespan", "timespan"): "timespan",
        ("-", "timespan", "timespan"): "timespan",
        ("/", "timespan", "timespan"): "real",
        ("%", "timespan", "timespan"): "timespan",
    }
    if (sign, a, b) in pairs:
        return pairs[sign, a, b]
    if sign in ("*", "/") and a == "timespan" and b in values.NUMBERS:
        return "timespan"
    return "timespan" if sign == "*" and b == "timespan" and a in values.NUMBERS else None


def _safely(sign: str, left: Value, right: Value, whole: bool) -> Value:
    compute = _WHOLE.get(sign, _SIGNS[sign]) if whole else _SIGNS[sign]

    def value(row: Row) -> Any:
        a, b = left(row), right(row)
        if a is None or b is None:
            return None
        try:
            return _wrapped(compute(a, b)) if whole else compute(a, b)
        except ZeroDivisionError:
            return (
                None
                if whole or isinstance(a, Decimal)
                else float("nan")
                if not a
                else float("inf") * (1 if a > 0 else -1)
            )
        except OverflowError:
            return None

    return value


def _wrapped(value: int) -> int:
    """A long has 64 bits; what is beyond begins anew."""
    return (value + 2**63) % 2**64 - 2**63


def _truncated(a: int, b: int) -> int:
    found = abs(a) // abs(b)
    return found if (a < 0) == (b < 0) else -found


_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_WHOLE: dict[str, Callable[[Any, Any], Any]] = {"/": _truncated}


# --- lists and ranges


def _among(expression: Among, scope: Scope) -> Compiled:
    operand = compile_(expression.operand, scope)
    items = _items(expression, scope)
    word = expression.word.removeprefix("!")
    negated = expression.word.startswith("!")
    if word in ("has_any", "has_all"):
        return Compiled("bool", strings.has_some(operand, items, every=word == "has_all"), operand.constant)
    blind = word == "in~"
    fixed = all(item.constant for item in items)

    def members(row: Row) -> set[Any]:
        found: set[Any] = set()
        for item in items:
            value = item.value(row)
            for one in value if isinstance(value, list) else [value]:
                converted = values.convert(one, item.type if one is value else "dynamic", operand.type)
                found.add(strings.folded(converted) if blind else values.key(converted))
        return found

    known = members(()) if fixed else None

    def value(row: Row) -> bool:
        found = operand.value(row)
        among = known if known is not None else members(row)
        there = (strings.folded(found) if blind else values.key(found)) in among
        return there != negated

    return Compiled("bool", value, operand.constant and fixed)


def _items(expression: Among, scope: Scope) -> list[Compiled]:
    query = expression.query
    if query is None and len(expression.items) == 1 and isinstance(expression.items[0], Name):
        name = expression.items[0].name
        if isinstance(scope.lets.get(name), Table) or (scope.run is not None and not _known(name, scope)):
            query = Query(name)
    if query is not None:
        if scope.run is None:
            raise NotSupported("a query in a list here")
        table = scope.run(query)
        return [constant([row[0] for row in table.rows], "dynamic")]
    return [compile_(item, scope) for item in expression.items]


def _known(name: str, scope: Scope) -> bool:
    return any(c.name == name for c in scope.columns) or isinstance(scope.lets.get(name), Compiled)


def _between(expression: Between, scope: Scope) -> Compiled:
    operand, low, high = (compile_(part, scope) for part in (expression.operand, expression.low, expression.high))
    if operand.type == "datetime" and high.type == "timespan":
        base, span = low.value, high.value
        high = Compiled("datetime", lambda row: base(row) + span(row), low.constant and high.constant)
    above, below = comparison(">=", operand, low), comparison("<=", operand, high)

    def value(row: Row) -> bool | None:
        first, second = above(row), below(row)
        if first is None or second is None:
            return None
        return (first and second) != expression.negated

    return Compiled("bool", value, operand.constant and low.constant and high.constant)
