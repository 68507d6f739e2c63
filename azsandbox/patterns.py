"""Regular expressions as Kubernetes and Flux have them: Go's, which are RE2's, and run in linear time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

# RE2's words for a mistake, and those of Go's regexp/syntax for the same
_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
_WHOLE = "missing closing )"  # of this mistake Go shows the whole expression
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


class PatternError(ValueError):
    """An expression that does not compile; the message is Go's ("error parsing regexp: …")."""


class Pattern:
    """A compiled expression."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def matches(self, text: str) -> bool:
        """Whether the expression matches anywhere in `text`."""
        return self._compiled.search(text) is not None

    def expand(self, text: str, template: str) -> str | None:
        """The template with its $name, ${name} and $1 replaced by what the first match captured; None without one.

        A name is as long as it can be, and one that nothing captured is empty (Go, Regexp.Expand).
        """
        found = self._compiled.search(text)
        return None if found is None else _expanded(found, template)

    def found(self, text: str) -> list[str]:
        """What the expression matches in `text`, from left to right."""
        return [found.group() for found in self._compiled.finditer(text)]

    def replaced(self, text: str, template: str, *, literal: bool = False) -> str:
        """The text with every match replaced by the template, whose names are expanded unless it is `literal`."""
        out, at = [], 0
        for found in self._compiled.finditer(text):
            out += [text[at : found.start()], template if literal else _expanded(found, template)]
            at = found.end()
        return "".join([*out, text[at:]])


def _expanded(found: Any, template: str) -> str:
    groups: dict[str, str] = {str(n): group or "" for n, group in enumerate((found.group(), *found.groups()))}
    groups |= {name: value or "" for name, value in found.groupdict().items()}

    def value(reference: re.Match[str]) -> str:
        if reference.group() == "$$":
            return "$"
        name = reference.group(1) or reference.group(2)
        return groups.get(str(int(name)) if name.isdigit() else name, "")

    return _REFERENCE.sub(value, template)


@lru_cache(maxsize=1024)
def compiled(expression: str) -> Pattern:
    """Compiles an expression. Raises PatternError."""
    import re2  # when first needed: most definitions have no pattern

    options = re2.Options()
    options.log_errors = False
    try:
        return Pattern(re2.compile(expression, options))
    except re2.error as error:
        raise PatternError(_words(error.args[0], expression)) from None


def _words(said: Any, expression: str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    kind, _, part = text.partition(": ")
    kind = _WORDS.get(kind, kind)
    if kind == _WHOLE:
        part = expression
    return f"error parsing regexp: {kind}: `{part}`"
