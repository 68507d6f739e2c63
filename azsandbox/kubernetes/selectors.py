"""Label and field selectors: parsed with the API server's own complaints, and matched.

Grammar and texts: k8s.io/apimachinery, packages labels and fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import Object

_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_NAME})?"
_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
)
_PREFIX_TEXT = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    f"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_DNS}')"
)

_TOKEN = re.compile(r"\s*(?:(==|!=|[=(),!<>])|([^\s=!(),<>]+))")


@dataclass(frozen=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str  # in, notin, exists, !, gt, lt
    values: frozenset[str] = frozenset()

    def matches(self, labels: dict[str, str]) -> bool:
        if self.operator == "in":
            return self.key in labels and labels[self.key] in self.values
        if self.operator == "notin":
            return labels.get(self.key) not in self.values if self.key in labels else True
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "!":
            return self.key not in labels
        try:
            found, bound = int(labels[self.key]), int(next(iter(self.values)))
        except (KeyError, ValueError):
            return False
        return found > bound if self.operator == "gt" else found < bound


class LabelSelector:
    """A parsed label selector."""

    def __init__(self, requirements: list[Requirement]) -> None:
        self.requirements = requirements

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def matches(self, obj: Object) -> bool:
        labels = obj.get("metadata", {}).get("labels") or {}
        return all(requirement.matches(labels) for requirement in self.requirements)

    def matches_labels(self, labels: dict[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []  # kind ("" for an identifier), text
        position = 0
        text = text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                break
            self.tokens.append((found[1] or "", found[1] or found[2]))
            position = found.end()
        self.index = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.index] if self.index < len(self.tokens) else ("end", "")

    def next(self) -> tuple[str, str]:
        token = self.peek()
        self.index += 1
        return token

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while True:
            kind, text = self.peek()
            if kind in ("", "!"):
                try:
                    requirements.append(self.requirement())
                except ValueError as error:
                    raise errors.bad_request(f"unable to parse requirement: {error}") from None
                kind, text = self.next()
                if kind == "end":
                    return requirements
                if kind != ",":
                    raise errors.bad_request(f"found '{text}', expected: ',' or 'end of string'")
                kind, text = self.peek()
                if kind not in ("", "!"):
                    raise errors.bad_request(f"found '{text}', expected: identifier after ','")
            elif kind == "end":
                return requirements
            else:
                raise errors.bad_request(f"found '{text}', expected: !, identifier, or 'end of string'")

    def requirement(self) -> Requirement:
        kind, text = self.next()
        if kind == "!":
            kind, text = self.next()
            if kind:
                raise ValueError(f"found '{text}', expected: identifier")
            _check_key(text)
            return Requirement(text, "!")
        key = text
        _check_key(key)
        kind, text = self.peek()
        if kind in (",", "end"):
            return Requirement(key, "exists")
        self.next()
        if text in ("in", "notin") and not kind:
            values = self.values()
            _check_values(key, values)
            return Requirement(key, text, frozenset(values))
        if kind in ("=", "==", "!="):
            value = self.exact_value()
            _check_values(key, [value])
            return Requirement(key, "notin" if kind == "!=" else "in", frozenset([value]))
        if kind in (">", "<"):
            value = self.exact_value()
            if not re.fullmatch(r"[+-]?\d+", value):
                raise ValueError(
                    f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
                )
            return Requirement(key, "gt" if kind == ">" else "lt", frozenset([value]))
        expected = "in, notin, =, ==, !=, gt, lt"
        raise ValueError(f"found '{text}', expected: {expected}")

    def exact_value(self) -> str:
        kind, text = self.peek()
        if kind in ("end", ","):
            return ""
        if kind:
            raise ValueError(f"found '{text}', expected: identifier")
        self.next()
        return text

    def values(self) -> list[str]:
        kind, text = self.next()
        if kind != "(":
            raise ValueError(f"found '{text}' expected: '('")
        values: list[str] = []
        kind, text = self.peek()
        if kind == ")":
            self.next()
            return [""]
        while True:
            kind, text = self.next()
            if kind == ",":
                values.append("")
                if self.peek()[0] == ")":
                    values.append("")
                    self.next()
                    return values
                continue
            if kind == ")":
                return [*values, ""]
            if kind:
                raise ValueError(f"found '{text}', expected: ',', or identifier")
            values.append(text)
            kind, text = self.next()
            if kind == ")":
                return values
            if kind != ",":
                raise ValueError(f"found '{text}', expected: ',' or ')'")
            if self.peek()[0] == ")":
                self.next()
                return [*values, ""]


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash and not re.fullmatch(_DNS, prefix):
        problems.append(_PREFIX_TEXT)
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if name and not re.fullmatch(_NAME, name):
        problems.append(_NAME_TEXT)
    if problems:
        raise ValueError(f'<nil>: Invalid value: "{key}": {"; ".join(problems)}')


def _check_values(key: str, values: list[str]) -> None:
    for index, value in enumerate(values):
        problems = []
        if len(value) > 63:
            problems.append("must be no more than 63 bytes")
        if not re.fullmatch(_VALUE, value):
            problems.append(_VALUE_TEXT)
        if problems:
            raise ValueError(f'values[{index}][{key}]: Invalid value: "{value}": {"; ".join(problems)}')


def parse_labels(text: str) -> LabelSelector:
    """Parses a labelSelector parameter. Raises 400 in the parser's words."""
    return LabelSelector(_Parser(text).parse())


def from_object(selector: dict[str, Any] | None) -> LabelSelector:
    """A selector from an object's matchLabels and matchExpressions; None selects nothing but is not made here."""
    requirements = [
        Requirement(k, "in", frozenset([v])) for k, v in ((selector or {}).get("matchLabels") or {}).items()
    ]
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}
    for expression in (selector or {}).get("matchExpressions") or ():
        operator = operators[expression["operator"]]
        requirements.append(Requirement(expression["key"], operator, frozenset(expression.get("values") or ())))
    return LabelSelector(requirements)


@dataclass(frozen=True)
class FieldRequirement:
    field: str
    equal: bool
    value: str


class FieldSelector:
    """A parsed field selector of one resource."""

    def __init__(self, requirements: list[FieldRequirement], getters: dict[str, Callable[[Object], str]]) -> None:
        self.requirements, self.getters = requirements, getters

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def matches(self, obj: Object) -> bool:
        return all((self.getters[r.field](obj) == r.value) == r.equal for r in self.requirements)

    @property
    def name(self) -> str:
        """The one name that can match, or ""."""
        return next((r.value for r in self.requirements if r.field == "metadata.name" and r.equal), "")


def split_fields(text: str) -> list[FieldRequirement]:
    """Terms of a field selector; a backslash keeps the character after it. Raises 400."""
    terms: list[str] = []
    current = ""
    escaped = False
    for char in text:
        if escaped:
            current += "\\" + char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(current)
            current = ""
        else:
            current += char
    terms.append(current)
    requirements = []
    for term in terms:
        if not term:
            continue
        found = re.match(r"((?:[^\\=!]|\\.|!(?!=))*)(!=|==|=)(.*)", term, re.DOTALL)
        if not found:
            raise errors.bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        value = re.sub(r"\\(.)", r"\1", found[3])
        requirements.append(FieldRequirement(found[1], found[2] != "!=", value))
    return requirements
