"""CEL: expressions compiled and run, with the functions that Kubernetes adds to the language.

The engine is loaded when the first expression is met.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

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
def checked(text: str, variables: tuple[str, ...]) -> str:
    """The type that an expression gives, in cel-go's words. Raises CelError with the compiler's.

    `authorizer` and `authorizer.requestResource` among the variables have the types of Kubernetes, others any.
    """
    try:
        kind = str(_environment(variables, typed=True).compile(text).return_type())
    except RuntimeError as error:
        raise CelError(_as_cel_go(_compile_words(str(error)), text, variables)) from None
    return (
        re.sub(r"\b[A-Z_]+\b", lambda found: _TYPES.get(found.group(), found.group()), kind)
        .replace("<", "(")
        .replace(">", ")")
    )


_TYPES = {
    "BOOL": "bool",
    "BYTES": "bytes",
    "DOUBLE": "double",
    "DURATION": "google.protobuf.Duration",
    "DYN": "dyn",
    "INT": "int",
    "LIST": "list",
    "MAP": "map",
    "NULL": "null_type",
    "STRING": "string",
    "TIMESTAMP": "google.protobuf.Timestamp",
    "TYPE": "type",
    "UINT": "uint",
}
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
def _environment(variables: tuple[str, ...], typed: bool = False) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    extensions = [
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_math.ExtMath(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]
    declared = dict.fromkeys(variables, cel.Type.DYN)
    if typed and "authorizer" in declared:
        for name, kind in _AUTHORIZERS.items():
            declared[name] = cel.Type.AbstractType(f"kubernetes.authorization.{kind}", [])
    return cel.NewEnv(variables=declared, extensions=extensions, functions=functions(cel, typed))


_AUTHORIZERS = {"authorizer": "Authorizer", "authorizer.requestResource": "ResourceCheck"}
