"""The OData queries of PolicyInsights: $filter, $apply, $orderby, $select, $top over records."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.resources import Document

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?(?![\w-]))|(?P<word>[$@]?[A-Za-z_][\w.]*)|(?P<mark>[(),/]))"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "le": lambda a, b: bool(a <= b),
}
TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda a, b: b in a,
    "startswith": lambda a, b: a.startswith(b),
    "endswith": lambda a, b: a.endswith(b),
}
Token = tuple[str, str]
Test = Callable[[Document], bool]


class _Reader:
    """Reads tokens one after the other; `what` is the option that they are of."""

    def __init__(self, what: str, text: str) -> None:
        self.what, self.text, self.at = what, text, 0
        self.tokens: list[Token] = []
        position = 0
        while position < len(text.rstrip()):
            found = TOKEN.match(text, position)
            if not found:
                raise self.wrong()
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            position = found.end()

    def wrong(self) -> errors.ArmError:
        """400 for a query that cannot be read."""
        text = f"The query string parameter '{self.what}' with the value '{self.text}' is not valid."
        return errors.ArmError(400, "InvalidQueryString", text)

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, expected: str = "") -> Token:
        token = self.peek()
        if token[0] == "end" or (expected and token[1].lower() != expected):
            raise self.wrong()
        self.at += 1
        return token

    def is_next(self, word: str) -> bool:
        """Whether `word` comes next, which is then taken."""
        if self.peek()[0] in ("word", "mark") and self.peek()[1].lower() == word:
            self.at += 1
            return True
        return False


def value(row: Document, name: str) -> Any:
    """A property of a record, by a name of any case."""
    lower = name.lower()
    return next((v for k, v in row.items() if k.lower() == lower), None)


def where(text: str) -> Test:
    """The test that a $filter is. Raises InvalidQueryString."""
    reader = _Reader("$filter", text)
    try:
        test = _or(reader)
    except RecursionError:
        raise reader.wrong() from None
    if reader.peek()[0] != "end":
        raise reader.wrong()
    return test


def _or(reader: _Reader) -> Test:
    tests = [_and(reader)]
    while reader.is_next("or"):
        tests.append(_and(reader))
    return tests[0] if len(tests) == 1 else lambda row: any(t(row) for t in tests)


def _and(reader: _Reader) -> Test:
    tests = [_not(reader)]
    while reader.is_next("and"):
        tests.append(_not(reader))
    return tests[0] if len(tests) == 1 else lambda row: all(t(row) for t in tests)


def _not(reader: _Reader) -> Test:
    if reader.is_next("not"):
        inner = _not(reader)
        return lambda row: not inner(row)
    if reader.is_next("("):
        inner = _or(reader)
        reader.take(")")
        return inner
    kind, word = reader.peek()
    if kind == "word" and word.lower() in TESTS:
        reader.take()
        reader.take("(")
        left = _operand(reader)
        reader.take(",")
        right = _operand(reader)
        reader.take(")")
        test = TESTS[word.lower()]
        return lambda row: test(_text(left(row)), _text(right(row)))
    left = _operand(reader)
    operator = reader.take()[1].lower()
    right = _operand(reader)
    if operator == "in":
        return lambda row: _plain(left(row)) in [_plain(v) for v in right(row) or []]
    if operator not in COMPARE:
        raise reader.wrong()
    compare = COMPARE[operator]

    def test_(row: Document) -> bool:
        try:
            return compare(_plain(left(row)), _plain(right(row)))
        except TypeError:
            return False

    return test_


def _operand(reader: _Reader) -> Callable[[Document], Any]:
    kind, text = reader.take()
    if kind == "text":
        literal = text[1:-1].replace("''", "'")
        return lambda row: literal
    if kind == "number":
        number = float(text)
        return lambda row: number
    if kind != "word":
        raise reader.wrong()
    if text.lower() in ("true", "false", "null"):
        constant = {"true": True, "false": False, "null": None}[text.lower()]
        return lambda row: constant
    return lambda row: value(row, text)


def _plain(found: Any) -> Any:
    return found.lower() if isinstance(found, str) else found


def _text(found: Any) -> str:
    return "" if found is None else str(found).lower()


def apply(text: str, rows: list[Document]) -> list[Document]:
    """What a $apply makes of records: filter(…), groupby((…), aggregate(…)), aggregate(…), one after the other."""
    reader = _Reader("$apply", text)
    while True:
        name = reader.take()[1].lower()
        reader.take("(")
        if name == "filter":
            test = _or(reader)
            rows = [r for r in rows if test(r)]
        elif name == "groupby":
            rows = _group(reader, rows)
        elif name == "aggregate":
            rows = [_aggregated(_aggregates(reader), rows)]
        else:
            raise reader.wrong()
        reader.take(")")
        if not reader.is_next("/"):
            break
    if reader.peek()[0] != "end":
        raise reader.wrong()
    return rows


def _group(reader: _Reader, rows: list[Document]) -> list[Document]:
    reader.take("(")
    names = [reader.take()[1]]
    while reader.is_next(","):
        names.append(reader.take()[1])
    reader.take(")")
    aggregates: list[tuple[str, str, str]] = []
    if reader.is_next(","):
        reader.take("aggregate")
        reader.take("(")
        aggregates = _aggregates(reader)
        reader.take(")")
    groups: dict[str, list[Document]] = {}
    for row in rows:
        groups.setdefault(repr([value(row, n) for n in names]), []).append(row)
    return [{n: value(held[0], n) for n in names} | _aggregated(aggregates, held) for held in groups.values()]


def _aggregates(reader: _Reader) -> list[tuple[str, str, str]]:
    """Property, method and new name of each."""
    out = []
    while True:
        name, method = reader.take()[1], "count"
        if name.lower() != "$count":
            reader.take("with")
            method = reader.take()[1].lower()
            if method not in _METHODS:
                raise reader.wrong()
        reader.take("as")
        out.append((name, method, reader.take()[1]))
        if not reader.is_next(","):
            return out


def _aggregated(aggregates: list[tuple[str, str, str]], rows: list[Document]) -> Document:
    return {new: _METHODS[method]([value(r, name) for r in rows]) for name, method, new in aggregates}


_METHODS: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "countdistinct": lambda values: len({repr(v) for v in values}),
    "min": lambda values: min((v for v in values if v is not None), default=None),
    "max": lambda values: max((v for v in values if v is not None), default=None),
    "sum": lambda values: sum(v for v in values if isinstance(v, int | float)),
    "average": lambda values: (sum(v for v in values if isinstance(v, int | float)) / len(values)) if values else None,
}


def order(text: str, rows: list[Document]) -> list[Document]:
    """Records in the order of a $orderby."""
    for term in reversed([t.split() for t in text.split(",") if t.strip()]):
        if len(term) > 2 or (len(term) == 2 and term[1].lower() not in ("asc", "desc")):
            raise _Reader("$orderby", "").wrong()
        name = term[0]
        rows = sorted(
            rows, key=lambda r: (value(r, name) is not None, value(r, name)), reverse=term[-1].lower() == "desc"
        )
    return rows


def select(text: str, rows: list[Document]) -> list[Document]:
    """Records with the properties of a $select alone."""
    names = {n.strip().lower() for n in text.split(",")}
    return [{k: v for k, v in row.items() if k.lower() in names} for row in rows]


def query(options: dict[str, str], rows: list[Document]) -> list[Document]:
    """Records by all options of a request."""
    for edge, keep in (("$from", COMPARE["ge"]), ("$to", COMPARE["le"])):
        if options.get(edge):
            rows = [r for r in rows if keep(str(r.get("timestamp", ""))[:19], options[edge][:19])]
    if options.get("$filter"):
        test = where(options["$filter"])
        rows = [r for r in rows if test(r)]
    if options.get("$apply"):
        rows = apply(options["$apply"], rows)
    if options.get("$orderby"):
        rows = order(options["$orderby"], rows)
    elif not options.get("$apply"):
        rows = sorted(rows, key=lambda r: str(r.get("timestamp")), reverse=True)
    if options.get("$select"):
        rows = select(options["$select"], rows)
    if options.get("$top"):
        if not options["$top"].isdigit():
            raise _Reader("$top", "").wrong()
        rows = rows[: int(options["$top"])]
    return rows
