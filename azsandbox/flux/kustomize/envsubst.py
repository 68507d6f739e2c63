"""Variables in text, with the string functions of bash that Flux knows (fluxcd/pkg/envsubst).

`${name}`, and of bash's functions: `:-` `:=` `:?` `:+` `=` (all give a default), `:offset:length`, `#` `##` `%` `%%`,
`/` `//` `/#` `/%`, `,` `,,` `^` `^^` and `${#name}`. `$$` is a dollar sign. Where Flux differs from bash this does too:
lengths count bytes, and `:+` and `:?` are defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_DEFAULTS = frozenset(("-", "+", "=", "?", ":-", ":+", ":=", ":?"))


class BadSubstitution(ValueError):
    """A text that cannot be read or lacks a variable; the message is Flux's."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A variable and what is done to it."""

    name: str
    function: str
    arguments: tuple[str | _Call, ...]


def substitute(text: str, variables: Mapping[str, str], *, strict: bool) -> str:
    """The text with its variables replaced.

    A variable that is not set is empty; with `strict` that is an error, unless a default is given. Raises
    BadSubstitution.
    """
    if "${" not in text and "$$" not in text:
        return text
    parts = _Parser(text).parse()
    return "".join(_value(part, variables, strict) for part in parts)


def _value(part: str | _Call, variables: Mapping[str, str], strict: bool) -> str:
    if isinstance(part, str):
        return part
    arguments = [_value(argument, variables, strict) for argument in part.arguments]
    if strict and part.name not in variables and part.function not in _DEFAULTS:
        raise BadSubstitution(f'variable not set (strict mode): "{part.name}"')
    return _apply(part.function, variables.get(part.name, ""), arguments)


class _Parser:
    """Reads a text into pieces of text and calls."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def parse(self) -> list[str | _Call]:
        parts: list[str | _Call] = []
        while self.at < len(self.text):
            if self._takes("${"):
                parts.append(self._call())
            else:
                parts.append(self._until("", dollars=True))
        return parts

    def _takes(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _until(self, ends: str, *, dollars: bool = False, slashes: bool = False) -> str:
        """Text up to one of `ends` or the next variable; `$$`, and `\\/` and `\\\\`, stand for their second character
        where they are escapes."""
        found: list[str] = []
        while self.at < len(self.text):
            two = self.text[self.at : self.at + 2]
            if (dollars and two == "$$") or (slashes and two in ("\\/", "\\\\")):
                found.append(two[1])
                self.at += 2
            elif two == "${" or two[0] in ends:
                break
            else:
                found.append(two[0])
                self.at += 1
        return "".join(found)

    def _argument(self, ends: str, *, escapes: bool = False) -> str | _Call:
        if self._takes("${"):
            return self._call()
        start = self.at
        text = self._until(ends, dollars=escapes, slashes=escapes)
        if self.at == start:
            raise BadSubstitution("unable to parse substitution within function")
        return text

    def _close(self, message: str = "bad substitution") -> None:
        if not self._takes("}"):
            raise BadSubstitution(message)

    def _name(self, message: str) -> str:
        start = self.at
        while self._peek() and (self._peek().isalpha() or self._peek().isdecimal() or self._peek() == "_"):
            self.at += 1
        if self.at == start:
            raise BadSubstitution(message)
        return self.text[start : self.at]

    def _operator(self, choices: tuple[str, ...]) -> str:
        return next((choice for choice in choices if self._takes(choice)), "")

    def _call(self) -> _Call:
        """What comes after `${`."""
        if self._takes("#"):
            name = self._name("bad substitution")
            self._close()
            return _Call(name, "#", ())
        name = self._name("unable to parse variable name")
        following = self._peek()
        default = self._operator((":-", ":=", ":?", ":+", "="))
        if default:
            return self._default(name, default)
        if following == ":":
            self._takes(":")
            if not (self._peek() and self._peek().isascii()):
                raise BadSubstitution("bad substitution")
            return self._substring(name)
        if following in (",", "^"):
            function = self._until_other(",^")
            self._close()
            return _Call(name, function, ())
        if following == "/":
            return self._replacement(name)
        if following in ("#", "%"):
            function = self._until_other(following)
            argument = self._argument("}")
            self._close()
            return _Call(name, function, (argument,))
        self._close("missing closing brace")
        return _Call(name, "", ())

    def _until_other(self, characters: str) -> str:
        """At most two of some characters."""
        start = self.at
        while self.at - start < 2 and self._peek() and self._peek() in characters:
            self.at += 1
        return self.text[start : self.at]

    def _default(self, name: str, function: str) -> _Call:
        arguments: list[str | _Call] = []
        while not self._takes("}"):
            arguments.append(self._argument("}"))
        return _Call(name, function, tuple(arguments))

    def _substring(self, name: str) -> _Call:
        arguments = [self._argument(":}")]
        if self._takes("}"):
            return _Call(name, ":", tuple(arguments))
        if not self._takes(":"):
            raise BadSubstitution("bad substitution")
        while self._takes(":"):
            pass
        arguments.append(self._argument("}"))
        self._close()
        return _Call(name, ":", tuple(arguments))

    def _replacement(self, name: str) -> _Call:
        function = self._operator(("//", "/#", "/%", "/"))
        arguments = [self._argument("/", escapes=True)]
        if not self._takes("/"):
            raise BadSubstitution("bad substitution")
        while self._takes("/"):
            pass
        if self._peek() != "}":
            arguments.append(self._argument("}", escapes=True))
        self._close()
        return _Call(name, function, tuple(arguments))


def _apply(function: str, value: str, arguments: list[str]) -> str:
    if function == "#" and not arguments:
        return str(len(value.encode()))
    found = _FUNCTIONS.get(function)
    if found is not None:
        return found(value, arguments)
    return value or "".join(arguments)


def _first(change: Callable[[str], str]) -> Callable[[str, list[str]], str]:
    return lambda value, _: change(value[:1]) + value[1:]


def _substring(value: str, arguments: list[str]) -> str:
    data = value.encode()
    numbers = [int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else None for text in arguments]
    start = numbers[0]
    if start is None:
        return value
    if start < 0:
        start = max(len(data) + start, 0)
    if len(numbers) == 1:
        return data[start:].decode("utf-8", "replace")
    length = numbers[1]
    if length is None:
        return value
    end = len(data) + length if length < 0 else start + length
    return data[start:end].decode("utf-8", "replace") if end >= start else ""


def _replace(count: int) -> Callable[[str, list[str]], str]:
    return lambda value, arguments: value.replace(arguments[0], "".join(arguments[1:2]), count)


def _replace_prefix(value: str, arguments: list[str]) -> str:
    if len(arguments) != 2 or not value.startswith(arguments[0]):
        return value
    return arguments[1] + value[len(arguments[0]) :]


def _replace_suffix(value: str, arguments: list[str]) -> str:
    if len(arguments) != 2 or not value.endswith(arguments[0]):
        return value
    return value[: len(value) - len(arguments[0])] + arguments[1]


def _without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """The value without the longest or shortest part at its front, of at least one character, that fits a pattern."""
    fits = _pattern(pattern)
    if fits is None:
        return value
    lengths = range(len(value), 0, -1) if longest else range(1, len(value) + 1)
    return next((value[length:] for length in lengths if fits.fullmatch(value[:length])), value)


def _trim_prefix(*, longest: bool) -> Callable[[str, list[str]], str]:
    return lambda value, arguments: _without_prefix(value, arguments[0], longest=longest)


def _trim_suffix(*, longest: bool) -> Callable[[str, list[str]], str]:
    # Flux turns both around, so a pattern with a class fits nothing at an end
    return lambda value, arguments: _without_prefix(value[::-1], arguments[0][::-1], longest=longest)[::-1]


def _pattern(glob: str) -> re.Pattern[str] | None:
    """A shell pattern as a regular expression, or None for a bad one. A star fits slashes too."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[":
            found = re.compile(r"(\^?)((?:[^\]\\]|\\.)(?:[^\]\\]|\\.)*)\]", re.DOTALL).match(glob, at)
            if found is None:
                return None
            inner = re.sub(r"\\(.)|([\[&~|])", lambda m: "\\" + (m[1] or m[2]), found[2])
            parts.append(f"[{found[1]}{inner}]")
            at = found.end()
        elif character == "\\":
            if at == len(glob):
                return None
            parts.append(re.escape(glob[at]))
            at += 1
        else:
            parts.append(re.escape(character))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return None


_FUNCTIONS: dict[str, Callable[[str, list[str]], str]] = {
    ",": _first(str.lower),
    ",,": lambda value, _: value.lower(),
    "^": _first(str.upper),
    "^^": lambda value, _: value.upper(),
    "#": _trim_prefix(longest=False),
    "##": _trim_prefix(longest=True),
    "%": _trim_suffix(longest=False),
    "%%": _trim_suffix(longest=True),
    ":": _substring,
    "/#": _replace_prefix,
    "/%": _replace_suffix,
    "/": _replace(1),
    "//": _replace(-1),
}
