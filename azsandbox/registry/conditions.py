"""Conditions of role assignments, as registries with repository permissions use them.

Supported: AND, OR, NOT (`!`), parentheses, `ActionMatches{'…'}`, and comparisons of `@Request[…/repositories:name]` with
the String operators ("Azure role assignment condition format and syntax"). A condition with anything else allows
nothing, and the log says so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

log = logging.getLogger("azsandbox.registry")

_TOKEN = re.compile(
    r"\s*(?:(?P<mark>&&|\|\||[()!{},])|(?P<text>'(?:[^']|'')*')|(?P<attribute>@\w+\[[^\]]*\])|(?P<word>[A-Za-z:]+))"
)
_NAME = "Microsoft.ContainerRegistry/registries/repositories:name"
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda found, wanted: found == wanted,
    "StringNotEquals": lambda found, wanted: found != wanted,
    "StringEqualsIgnoreCase": lambda found, wanted: found.lower() == wanted.lower(),
    "StringNotEqualsIgnoreCase": lambda found, wanted: found.lower() != wanted.lower(),
    "StringStartsWith": lambda found, wanted: found.startswith(wanted),
    "StringNotStartsWith": lambda found, wanted: not found.startswith(wanted),
    "StringStartsWithIgnoreCase": lambda found, wanted: found.lower().startswith(wanted.lower()),
    "StringNotStartsWithIgnoreCase": lambda found, wanted: not found.lower().startswith(wanted.lower()),
    "StringLike": lambda found, wanted: fnmatchcase(found, wanted),
    "StringNotLike": lambda found, wanted: not fnmatchcase(found, wanted),
}


class _Unreadable(Exception):
    pass


def holds(condition: str, action: str, repository: str | None) -> bool:
    """Whether the condition lets `action` on a repository pass; `repository` None: on some repository."""
    try:
        parser = _Parser(condition, action, repository)
        result = parser.either()
        parser.end()
    except _Unreadable as error:
        log.warning("a condition of a role assignment is not supported, and allows nothing (%s): %s", error, condition)
        return False
    return result


class _Parser:
    """Recursive descent: or → and → not → primary. Both sides are always read, so that errors never hide."""

    def __init__(self, text: str, action: str, repository: str | None) -> None:
        self._tokens = list(self._split(text))
        self._at, self._action, self._repository = 0, action, repository

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
        if kind == "word" and word == "ActionMatches":
            self._need("{")
            patterns = self._texts()
            return any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), self._action, re.IGNORECASE) for p in patterns)
        if kind == "attribute":
            return self._comparison(word)
        raise _Unreadable(f"{word!r}")

    def _comparison(self, attribute: str) -> bool:
        source, _, name = attribute[1:-1].partition("[")
        if source != "Request" or name.lower() != _NAME.lower():
            raise _Unreadable(f"the attribute {attribute}")
        _, operator = self._next()
        any_of = operator.startswith("ForAnyOfAnyValues:")
        compare = _COMPARE.get(operator.removeprefix("ForAnyOfAnyValues:"))
        if compare is None:
            raise _Unreadable(f"the operator {operator}")
        if self._take("{"):
            values = self._texts()
        else:
            kind, text = self._next()
            if kind != "text":
                raise _Unreadable(f"{text!r} instead of a text")
            values = [_bare(text)]
        if self._repository is None:
            return True
        results = [compare(self._repository, value) for value in values]
        return any(results) if any_of or len(results) == 1 else all(results)

    def _texts(self) -> list[str]:
        values = []
        while True:
            kind, text = self._next()
            if kind != "text":
                raise _Unreadable(f"{text!r} instead of a text")
            values.append(_bare(text))
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
