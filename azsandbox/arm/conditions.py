"""Conditions of role assignments (Azure's attribute-based access control).

Supported: AND, OR, NOT (`!`), parentheses, `ActionMatches{'…'}`, and comparisons of an attribute of `@Request[…]` or
`@Resource[…]` with the operators of texts and GUIDs ("Azure role assignment condition format and syntax"). Operators and
attributes are found whatever their case. A condition with anything else allows nothing, and the log says so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase

log = logging.getLogger("azsandbox.arm")

Attributes = Mapping[str, str | None]
"""What a request says of itself: values by the name of the attribute; None stands for any value."""

_TOKEN = re.compile(
    r"\s*(?:(?P<mark>&&|\|\||[()!{},])|(?P<text>'(?:[^']|'')*')|(?P<attribute>@\w+\[[^\]]*\])"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})|(?P<word>[A-Za-z:]+))"
)
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda found, wanted: found == wanted,
    "stringnotequals": lambda found, wanted: found != wanted,
    "stringequalsignorecase": lambda found, wanted: found.lower() == wanted.lower(),
    "stringnotequalsignorecase": lambda found, wanted: found.lower() != wanted.lower(),
    "stringstartswith": lambda found, wanted: found.startswith(wanted),
    "stringnotstartswith": lambda found, wanted: not found.startswith(wanted),
    "stringstartswithignorecase": lambda found, wanted: found.lower().startswith(wanted.lower()),
    "stringnotstartswithignorecase": lambda found, wanted: not found.lower().startswith(wanted.lower()),
    "stringlike": lambda found, wanted: fnmatchcase(found, wanted),
    "stringnotlike": lambda found, wanted: not fnmatchcase(found, wanted),
    "guidequals": lambda found, wanted: found.lower() == wanted.lower(),
    "guidnotequals": lambda found, wanted: found.lower() != wanted.lower(),
}
# How the values of a set are asked: each of what the request has (one value, here) against any or all of the set.
_ANY, _ALL = ("foranyofanyvalues:", "forallofanyvalues:"), ("foranyofallvalues:", "forallofallvalues:")


class _Unreadable(Exception):
    pass


def holds(condition: str, action: str, attributes: Attributes) -> bool:
    """Whether the condition lets `action` pass, of a request with those attributes."""
    try:
        return _read(condition, action, attributes)
    except _Unreadable as error:
        log.warning("a condition of a role assignment is not supported, and allows nothing (%s): %s", error, condition)
        return False


def problem(condition: str) -> str:
    """What of a condition is not supported, in words; "" when it can be read."""
    try:
        _read(condition, "", {})
    except _Unreadable as error:
        return str(error)
    return ""


def _read(condition: str, action: str, attributes: Attributes) -> bool:
    parser = _Parser(condition, action, attributes)
    try:
        result = parser.either()
    except RecursionError:
        raise _Unreadable("it is nested too deeply") from None
    parser.end()
    return result


class _Parser:
    """Recursive descent: or → and → not → primary. Both sides are always read, so that errors never hide."""

    def __init__(self, text: str, action: str, attributes: Attributes) -> None:
        self._tokens = list(self._split(text))
        self._at, self._action = 0, action
        self._attributes = {name.lower(): value for name, value in attributes.items()}

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise _Unreadable(f"at {text[at : at + 20]!r}")
            at = found.end()
            yield str(found.lastgroup), found[str(found.lastgroup)]

    def either(self) -> bool:
        result = self.both()
        while self._take("||", "OR"):
            right = self.both()
            result = result or right
        return result

    def both(self) -> bool:
        result = self.negated()
        while self._take("&&", "AND"):
            right = self.negated()
            result = result and right
        return result

    def negated(self) -> bool:
        if self._take("!", "NOT"):
            return not self.negated()
        return self.primary()

    def primary(self) -> bool:
        if self._take("("):
            result = self.either()
            self._need(")")
            return result
        kind, word = self._next()
        if kind == "word" and word.lower() == "actionmatches":
            self._need("{")
            patterns = self._texts()
            return any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), self._action, re.IGNORECASE) for p in patterns)
        if kind == "attribute":
            return self._comparison(word)
        raise _Unreadable(f"{word!r}")

    def _comparison(self, attribute: str) -> bool:
        source, _, name = attribute[1:-1].partition("[")
        if source.lower() not in ("request", "resource"):
            raise _Unreadable(f"the attribute {attribute}")
        _, operator = self._next()
        form = next((f for f in (*_ANY, *_ALL) if operator.lower().startswith(f)), "")
        compare = _COMPARE.get(operator.lower().removeprefix(form))
        if compare is None:
            raise _Unreadable(f"the operator {operator}")
        values = self._texts() if self._take("{") else [self._text()]
        found = self._attributes.get(name.lower(), "")
        if found is None:
            return True
        if name.lower() not in self._attributes:
            return False  # of a request that has no such attribute nothing can be said
        results = [compare(found, value) for value in values]
        return any(results) if form in _ANY else all(results)

    def _text(self) -> str:
        kind, text = self._next()
        if kind not in ("text", "guid"):
            raise _Unreadable(f"{text!r} instead of a text")
        return text if kind == "guid" else _bare(text)

    def _texts(self) -> list[str]:
        values = []
        while True:
            values.append(self._text())
            if self._take("}"):
                return values
            self._need(",")

    def _take(self, *marks: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][1] in marks and self._tokens[self._at][0] != "text":
            self._at += 1
            return True
        return False

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise _Unreadable(f"no {mark!r} where one must be")

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise _Unreadable("it ends too soon")
        self._at += 1
        return self._tokens[self._at - 1]

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise _Unreadable(f"{self._tokens[self._at][1]!r} after its end")


def _bare(text: str) -> str:
    return text[1:-1].replace("''", "'")
