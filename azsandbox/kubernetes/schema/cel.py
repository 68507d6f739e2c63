"""CEL: expressions compiled and run, with the functions that Kubernetes adds to the language.

The engine is loaded when the first expression is met.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from azsandbox.kubernetes.schema import cel_types
from azsandbox.kubernetes.schema.cel_functions import functions


class CelError(Exception):
    """An expression that cannot be compiled, or that failed; the message is cel-go's as far as it is known."""


class Program:
    """A compiled expression."""

    def __init__(self, expression: Any, text: str) -> None:
        self._expression, self.text = expression, text

    def run(self, variables: Mapping[str, Any]) -> Any:
        """The value of the expression. Raises CelError."""
        from cel_expr_python import cel

        try:
            result = self._expression.eval(data=dict(variables))
        except RuntimeError as error:
            raise CelError(_words(str(error))) from None
        if result.type() == cel.Type.ERROR:
            raise CelError(_words(str(result.value())))
        return result.plain_value()


@lru_cache(maxsize=2048)
def compiled(text: str, variables: tuple[str, ...]) -> Program:
    """An expression over variables of any type. Raises CelError with the compiler's words."""
    try:
        return Program(_environment(variables).compile(text), text)
    except RuntimeError as error:
        raise CelError(_compile_words(str(error))) from None


@lru_cache(maxsize=2048)
def checked(text: str, variables: tuple[str, ...], own: tuple[tuple[str, str], ...] = ()) -> str:
    """The type that an expression gives, in cel-go's words. Raises CelError with the compiler's.

    `variables` have the types of Kubernetes where it gives them one (see cel_types), others any; `own` are those of a
    policy, with their types.
    """
    from cel_expr_python import cel

    fields = dict(own)
    for loose in (False, True):
        declared = cel_types.declared(cel, text, variables, fields, loose)
        env = cel.NewEnv(variables=declared, extensions=_extensions(), functions=functions(cel, typed=True))
        try:
            return cel_types.shown(env.compile(text).return_type())
        except RuntimeError as error:
            words = _as_cel_go(_compile_words(str(error)), text, variables)
        if not any(cel_types.has_field(kind, field, fields) for kind, field in _selected(words)):
            break
    raise CelError(_SELECT.sub(_of_selection, words))


_SELECT = re.compile(
    r"expression of type '(.+?)' cannot be the operand of a select operation(?=\n \| (.*)\n \| (\.*)\^)"
)


def _selected(words: str) -> list[tuple[str, str]]:
    """Types and fields of the selections that the engine refused."""
    return [_type_and_field(found) for found in _SELECT.finditer(words)]


def _type_and_field(found: re.Match[str]) -> tuple[str, str]:
    kind, line, before = found.groups()
    name = re.search(r"\w+", line[len(before) :])
    return kind, name.group() if name else ""


def _of_selection(found: re.Match[str]) -> str:
    """What cel-go says of `a.b` where `a` has no such field, or none at all."""
    kind, field = _type_and_field(found)
    if cel_types.has_fields(kind):
        return f"undefined field '{field}'"
    return f"type '{kind}' does not support field selection"


_UNDECLARED = re.compile(
    r"(ERROR: <input>:(\d+):)(\d+)(: undeclared reference to ')([\w.]+)(' \(in container ''\)\n \| .*\n \| )(\.*)\^"
)


def _as_cel_go(message: str, text: str, variables: tuple[str, ...]) -> str:
    """The C++ compiler's message as cel-go says it: of an unknown `a.b.c` that names `a` at its own place."""
    lines = text.split("\n")

    def rewrite(found: re.Match[str]) -> str:
        start, line, column, middle, name, rest, _ = found.groups()
        first, dot, _ = name.partition(".")
        if not dot or first in variables:
            return found.group()
        at = lines[int(line) - 1].rfind(first, 0, int(column))
        if at < 0:
            return found.group()
        return f"{start}{at + 1}{middle}{first}{rest}{'.' * at}^"

    return _UNDECLARED.sub(rewrite, message)


def _compile_words(message: str) -> str:
    text = re.sub(r"^[A-Z_]+: ", "", message).removesuffix(" [INVALID_ARGUMENT]").replace(r"'\u003F'", "'?'")
    return _FOLLOWING.sub("", text)


# what cel-go does not add after an error of the same place
_FOLLOWING = re.compile(
    r"\nERROR: <input>:(-1:-1: <<nil>> parsetree|\d+:\d+: expression of type '\*error\*' .*\n \| .*\n \| .*\^)"
)


def _words(message: str) -> str:
    """The C++ engine's error in the words of cel-go."""
    text = re.sub(r"^[A-Z_]+: ", "", message)
    if text == "divide by zero":
        return "division by zero"
    if text.startswith("modulus by zero"):
        return "modulus by zero"
    found = re.fullmatch(r'Key not found in map : "?(.*?)"?', text)
    if found:
        return f"no such key: {found.group(1)}"
    if text.startswith("No matching overloads found"):
        return "no such overload"
    found = re.search(r"index out of bounds.*?(-?\d+)", text)
    return f"index out of bounds: {found.group(1)}" if found else text


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings

    extensions = [*_extensions(), ext_bindings.ExtBindings()]  # by cel.bind custom rules get their old value
    return cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN), extensions=extensions, functions=functions(cel))


@cache
def _extensions() -> list[Any]:
    """The extensions of the language that Kubernetes takes in."""
    from cel_expr_python.ext import ext_optional, ext_strings

    return [ext_strings.ExtStrings(), ext_optional.ExtOptional()]
