"""Kusto's string operators. A term is a run of letters and digits; `has` looks for whole terms, without regard to case."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.errors import SemanticError

if TYPE_CHECKING:
    from azsandbox.loganalytics.kql.compiler import Compiled, Value

Test = Callable[[str, str], bool]


def folded(value: Any) -> Any:
    """A value without regard to case."""
    return value.casefold() if isinstance(value, str) else values.key(value)


@functools.lru_cache(maxsize=1024)
def _term(text: str, *, blind: bool, start: bool, end: bool) -> re.Pattern[str]:
    before = r"(?<![A-Za-z0-9])" if start and text[:1].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if end and text[-1:].isalnum() else ""
    return re.compile(before + re.escape(text) + after, re.IGNORECASE if blind else 0)


def has(text: str, part: str, *, blind: bool = True, start: bool = True, end: bool = True) -> bool:
    """Whether a text has a term; with only one of `start` and `end` a term that begins or ends so."""
    return bool(_term(part, blind=blind, start=start, end=end).search(text))


@functools.lru_cache(maxsize=256)
def expression(pattern: str) -> Any:
    """A regular expression of RE2, as Kusto's are. Raises SemanticError."""
    import re2  # of use to few queries

    try:
        return re2.compile(pattern)
    except re2.error as error:
        raise SemanticError("SEM0420", f"Regex pattern is malformed: {error}") from None


_TESTS: dict[str, Test] = {
    "=~": lambda a, b: a.casefold() == b.casefold(),
    "contains": lambda a, b: b.casefold() in a.casefold(),
    "contains_cs": lambda a, b: b in a,
    "startswith": lambda a, b: a.casefold().startswith(b.casefold()),
    "startswith_cs": lambda a, b: a.startswith(b),
    "endswith": lambda a, b: a.casefold().endswith(b.casefold()),
    "endswith_cs": lambda a, b: a.endswith(b),
    "has": has,
    "has_cs": functools.partial(has, blind=False),
    "hasprefix": functools.partial(has, end=False),
    "hasprefix_cs": functools.partial(has, blind=False, end=False),
    "hassuffix": functools.partial(has, start=False),
    "hassuffix_cs": functools.partial(has, blind=False, start=False),
    "matches regex": lambda a, b: bool(expression(b).search(a)),
}


def test(sign: str, left: Compiled, right: Compiled) -> Value:
    """The operator between two strings; what begins with "!" is the opposite. Raises SemanticError for other types."""
    from azsandbox.loganalytics.kql.compiler import as_type

    opposite = sign.startswith("!") or sign == "notlike"
    name = "=~" if sign == "!~" else sign.removeprefix("!")
    for side in (left, right):
        if side.type not in ("string", "dynamic", "guid"):
            raise SemanticError("SEM0024", f"The operator '{sign}' expects string operands, found {side.type}")
    if name in ("like", "notlike"):
        raise SemanticError("SEM0025", f"The operator '{sign}' is not recognized")
    check, text, part = _TESTS[name], as_type(left, "string"), as_type(right, "string")
    if name == "matches regex" and right.constant:
        expression(part(()))  # one that is malformed is refused before any row is read
    return lambda row: check(text(row), part(row)) != opposite


def has_some(operand: Compiled, items: list[Compiled], *, every: bool) -> Value:
    """has_any and has_all."""
    from azsandbox.loganalytics.kql.compiler import as_type

    text = as_type(operand, "string")
    matches = all if every else any

    def value(row: Any) -> bool:
        parts: list[str] = []
        for item in items:
            found = item.value(row)
            parts += [values.text(one, "dynamic") for one in (found if isinstance(found, list) else [found])]
        whole = text(row)
        return matches(has(whole, part) for part in parts)

    return value
