"""What a query says: expressions, operators between pipes, statements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# --- scalar expressions


@dataclass(frozen=True)
class Literal:
    """A value that stands in the query."""

    value: Any
    type: str


@dataclass(frozen=True)
class Name:
    """A column, or what `let` named."""

    name: str


@dataclass(frozen=True)
class Star:
    """All columns."""


@dataclass(frozen=True)
class Member:
    """base.key or base[key], of a dynamic value."""

    base: Expression
    key: Expression


@dataclass(frozen=True)
class Call:
    """A function or an aggregate with its arguments."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Unary:
    """- or +."""

    sign: str
    operand: Expression


@dataclass(frozen=True)
class Binary:
    """Two operands and a sign or word between them."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Among:
    """operand in (…), has_any (…), has_all (…); the items may be a query of one column."""

    word: str
    operand: Expression
    items: tuple[Expression, ...]
    query: Query | None = None


@dataclass(frozen=True)
class Between:
    """operand between (low .. high)."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False


@dataclass(frozen=True)
class ToScalar:
    """toscalar(query): the first value of its first row."""

    query: Query


@dataclass(frozen=True)
class Named:
    """name = expression; an expression without a name gets one."""

    name: str
    expression: Expression
    names: tuple[str, ...] = ()  # (a, b) = expression with several values


Expression = Literal | Name | Star | Member | Call | Unary | Binary | Among | Between | ToScalar | Named


# --- tabular expressions


@dataclass(frozen=True)
class Operator:
    """One operator: its name as written, expressions, queries, and options by name."""

    name: str
    expressions: tuple[Named, ...] = ()
    by: tuple[Named, ...] = ()
    queries: tuple[Query, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """A table, then operators. `source` is a name, or an operator that makes a table (print, range, datatable, union)."""

    source: str | Operator | Query
    operators: tuple[Operator, ...] = ()


@dataclass(frozen=True)
class Let:
    """let name = what."""

    name: str
    value: Expression | Query


@dataclass(frozen=True)
class Script:
    """`let` statements and the options that `set` sets, then the queries."""

    lets: tuple[Let, ...]
    queries: tuple[Query, ...]
    options: dict[str, Any] = field(default_factory=dict)
