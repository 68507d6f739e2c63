"""OData queries on lists: $filter, $search, $orderby, $select.

Grammar of $filter (OData 4.01, part 2, as far as Graph takes it for directory objects): comparisons, `in`,
startswith and endswith, `any` over lists, and, or, not, parentheses. Strings compare without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Predicate = Callable[[Any], bool]

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_][\w./]*|-?\d[\w.:-]*)|([(),:]))")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
}
_CONSTANTS = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """A query is not valid; the message is Graph's."""


def parse(text: str, known: set[str]) -> Predicate:
    """A function that tells whether an object's properties meet `text`. `known` are the properties there are.

    Raises QueryError.
    """
    try:
        return _Parser(text, known).whole()
    except RecursionError:
        raise QueryError("Invalid filter clause: Syntax error: the clause is nested too deeply.") from None


class _Parser:
    def __init__(self, text: str, known: set[str]) -> None:
        self.known = known
        self.tokens: list[str] = []
        self.at = 0
        self.variables: set[str] = set()
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if not match:
                raise QueryError(f"Invalid filter clause: Syntax error at position {position} in '{text}'.")
            self.tokens.append(match.group().strip())
            position = match.end()

    def whole(self) -> Predicate:
        found = self._or()
        if self.at < len(self.tokens):
            raise QueryError(f"Invalid filter clause: Syntax error: unexpected '{self.tokens[self.at]}'.")
        return found

    def _or(self) -> Predicate:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda o: any(p(o) for p in parts)

    def _and(self) -> Predicate:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda o: all(p(o) for p in parts)

    def _one(self) -> Predicate:
        if self._take("not"):
            inner = self._one()
            return lambda o: not inner(o)
        if self._take("("):
            inner = self._or()
            self._need(")")
            return inner
        name = self._next()
        if name.lower() in ("startswith", "endswith") and self._take("("):
            return self._function(name.lower())
        if name.lower().endswith("/any") and self._take("("):
            return self._any(name[:-4])
        return self._comparison(name)

    def _function(self, name: str) -> Predicate:
        read = self._path(self._next())
        self._need(",")
        wanted = self._literal()
        self._need(")")
        if not isinstance(wanted, str):
            raise QueryError(f"Invalid filter clause: {name} takes a string.")
        lower = wanted.lower()
        if name == "startswith":
            return lambda o: str(read(o) or "").lower().startswith(lower)
        return lambda o: str(read(o) or "").lower().endswith(lower)

    def _any(self, path: str) -> Predicate:
        read = self._path(path)
        variable = self._next()
        self._need(":")
        self.variables.add(variable)
        inner = self._or()
        self.variables.discard(variable)
        self._need(")")
        return lambda o: any(inner({variable: item}) for item in read(o) or [])

    def _comparison(self, path: str) -> Predicate:
        read = self._path(path)
        operator = self._next().lower()
        if operator == "in":
            self._need("(")
            wanted = [_fold(self._literal())]
            while self._take(","):
                wanted.append(_fold(self._literal()))
            self._need(")")
            return lambda o: _fold(read(o)) in wanted
        if operator not in _COMPARE:
            raise QueryError(f"Invalid filter clause: '{operator}' is not an operator.")
        compare, value = _COMPARE[operator], _fold(self._literal())

        def test(o: Any) -> bool:
            found = _fold(read(o))
            try:
                return compare(found, value)
            except TypeError:
                return False

        return test

    def _path(self, path: str) -> Callable[[Any], Any]:
        first, *rest = path.split("/")
        if first not in self.variables and first not in self.known:
            raise QueryError(f"Invalid filter clause: Could not find a property named '{first}'.")

        def read(o: Any) -> Any:
            value = o.get(first)
            for part in rest:
                value = value.get(part) if isinstance(value, dict) else None
            return value

        return read

    def _literal(self) -> Any:
        token = self._next()
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token.lower() in _CONSTANTS:
            return _CONSTANTS[token.lower()]
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        return token  # a guid or a time, written without quotes

    def _next(self) -> str:
        if self.at >= len(self.tokens):
            raise QueryError("Invalid filter clause: Syntax error: expression expected at the end.")
        self.at += 1
        return self.tokens[self.at - 1]

    def _take(self, word: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at].lower() == word:
            self.at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            found = self.tokens[self.at] if self.at < len(self.tokens) else "the end"
            raise QueryError(f"Invalid filter clause: Syntax error: '{word}' expected, found {found}.")


_CLAUSE = re.compile(r'\s*(?:"([^":]+):([^"]*)"|(AND|OR)\b)')


def searched(text: str, known: set[str]) -> Predicate:
    """A function that tells whether an object meets $search, `"displayName:one" OR "mail:two"`: in each clause a word of
    the property begins with each of its words (Graph's article "Use the $search query parameter"). Raises QueryError.
    """
    choices: list[list[Predicate]] = [[]]
    at = 0
    while at < len(text.rstrip()):
        found = _CLAUSE.match(text, at)
        if found is None:
            raise QueryError(f"Syntax error: character '{text[at]}' is not valid at position {at} in '{text}'.")
        at = found.end()
        if found[3] == "OR":
            choices.append([])
        elif found[1] and found[1] not in known:
            raise QueryError(f"Could not find a property named '{found[1]}'.")
        elif found[1]:
            choices[-1].append(_clause(found[1], found[2].lower().split()))
    return lambda o: any(all(test(o) for test in tests) for tests in choices)


def _clause(name: str, wanted: list[str]) -> Predicate:
    def test(o: Any) -> bool:
        words = re.split(r"[\s@._-]+", str(o.get(name) or "").lower())
        return all(any(word.startswith(w) for word in words) for w in wanted)

    return test


def select(properties: dict[str, Any], names: list[str] | None, default: list[str]) -> dict[str, Any]:
    """The properties that $select names, or those that come by default. Raises QueryError for one there is not."""
    if names is None:
        return {name: properties.get(name) for name in default}
    for name in names:
        if name not in properties:
            raise QueryError(f"Could not find a property named '{name}'.")
    return {name: properties[name] for name in names}


def order(objects: list[dict[str, Any]], text: str, known: set[str]) -> list[dict[str, Any]]:
    """`objects` sorted as $orderby says. Raises QueryError."""
    for clause in reversed(text.split(",")):
        name, _, direction = clause.strip().partition(" ")
        if name not in known or direction.strip() not in ("", "asc", "desc"):
            raise QueryError(f"Invalid orderby clause: '{clause.strip()}'.")
        objects = sorted(objects, key=lambda o: str(_fold(o.get(name)) or ""), reverse=direction.strip() == "desc")
    return objects


def _fold(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
