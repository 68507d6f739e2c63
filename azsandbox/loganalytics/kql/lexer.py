"""Text into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from azsandbox.loganalytics.kql.errors import QuerySyntaxError

_TOKENS = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>[hH]?(?:@"(?:[^"]|"")*"|@'(?:[^']|'')*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|```[\s\S]*?```)
  | (?P<timespan>\d+(?:\.\d+)?(?:days?|d|hours?|hrs?|hr|h|minutes?|min|microseconds?|milliseconds?|millis|milli|ms|micro
        |m|seconds?|sec|s|ticks?|nanoseconds?)(?![A-Za-z0-9_]))
  | (?P<real>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
  | (?P<long>0[xX][0-9a-fA-F]+|\d+(?![A-Za-z_]))
  | (?P<name>[A-Za-z_$][A-Za-z0-9_]*|\d+[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>=~|!~|==|!=|<>|<=|>=|=>|\.\.|[-+*/%=<>|(){}\[\],;:.!~?])
    """,
    re.VERBOSE,
)

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "0": "\0", "a": "\a", "b": "\b", "f": "\f"}
_ESCAPES |= {"v": "\v"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query; `kind` is name, string, long, real, timespan, sign or end."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The tokens of a query, an `end` last. Raises QuerySyntaxError at a character that begins none."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise failure(text, at, text[at])
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match.group(), at, match.end()))
        at = match.end()
    found.append(Token("end", "", len(text), len(text)))
    return found


def failure(text: str, at: int, token: str) -> QuerySyntaxError:
    """The refusal at a place of a text."""
    before = text[:at]
    return QuerySyntaxError(before.count("\n") + 1, at - (before.rfind("\n") + 1), token)


def unquoted(text: str) -> str:
    """What a string literal says."""
    text = text[1:] if text[:1] in "hH" else text
    if text.startswith("```"):
        return text[3:-3]
    if text.startswith("@"):
        quote = text[1]
        return text[2:-1].replace(quote * 2, quote)
    return re.sub(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", _escape, text[1:-1], flags=re.DOTALL)


def _escape(match: re.Match[str]) -> str:
    found = match[1]
    if len(found) > 1:
        return chr(int(found[1:], 16))
    return _ESCAPES.get(found, found)
