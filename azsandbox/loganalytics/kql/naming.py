"""What a column is called whose query gives it no name."""

from __future__ import annotations

from azsandbox.loganalytics.kql.syntax import Call, Expression, Literal, Member, Name, Named

# Functions of one column keep its name.
_PASSING_WORDS = """
    bin floor tostring toint tolong toreal todouble tobool todatetime totimespan todynamic parse_json tolower toupper
    startofday startofweek startofmonth startofyear endofday endofweek endofmonth endofyear toguid todecimal round abs
"""
_PASSING = frozenset(_PASSING_WORDS.split())


def name_of(expression: Expression) -> str:
    """The name that an expression brings along, "" where it brings none: User.username is User_username."""
    if isinstance(expression, Named):
        return expression.name or name_of(expression.expression)
    if isinstance(expression, Name):
        return expression.name
    if isinstance(expression, Member):
        base = name_of(expression.base)
        key = str(expression.key.value) if isinstance(expression.key, Literal) else ""
        return f"{base}_{key}" if base and key else base
    if isinstance(expression, Call) and expression.name in _PASSING and expression.arguments:
        return name_of(expression.arguments[0])
    return ""


def unique(name: str, taken: set[str]) -> str:
    """A name that no other column has: Status, Status1, Status2."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found
