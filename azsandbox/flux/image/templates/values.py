"""Go's values in Python: names of types, truth, printing, order.

Texts, whole and other numbers, truth values, None, lists and dicts stand for what they are in Go; a struct is a
dataclass on top of Struct.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

_PLAIN = 6  # digits before the point up to which a number is written without an exponent


class Missing:
    """The value of a key that a map does not have."""

    def __str__(self) -> str:
        return "<no value>"


MISSING = Missing()


@dataclasses.dataclass(frozen=True, order=True)
class Struct:
    """A struct of Go: its fields and methods have the names that they have there."""

    GO: ClassVar[str] = ""  # how the type is called
    EMBEDS: ClassVar[tuple[str, ...]] = ()  # fields whose own fields count as its own

    def part(self, name: str) -> Any:
        """A field or method, MISSING if there is none of that name."""
        if name[:1].isupper() and name not in ("GO", "EMBEDS") and hasattr(self, name):
            return getattr(self, name)
        for embedded in self.EMBEDS:
            found = getattr(self, embedded).part(name)
            if found is not MISSING:
                return found
        return MISSING

    def values(self) -> list[Any]:
        """What the fields hold."""
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


def type_name(value: Any) -> str:
    """The name of a value's type, as errors of text/template have it."""
    if isinstance(value, Struct):
        return value.GO
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float64"), (str, "string")):
        if isinstance(value, kind):
            return name
    if isinstance(value, Mapping):
        texts = all(isinstance(item, str) for item in value.values())
        return "map[string]string" if value and texts else "map[string]interface {}"
    if isinstance(value, Sequence):
        kinds = {type_name(item) for item in value}
        return f"[]{kinds.pop()}" if len(kinds) == 1 and isinstance(value[0], Struct) else "[]interface {}"
    return "<nil>"


def is_true(value: Any) -> bool:
    """Whether a value counts as true: not zero, not empty, and any struct."""
    if value is None or isinstance(value, Missing):
        return False
    return True if isinstance(value, Struct) else bool(value)


def shown(value: Any) -> str:
    """A value as fmt prints it with %v."""
    text = getattr(value, "String", None)
    if text is not None:
        return str(text())
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Struct):
        return "{" + " ".join(map(shown, value.values())) + "}"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{shown(key)}:{shown(value[key])}" for key in ordered(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(shown, value)) + "]"
    return str(value)


def _float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) + int(exponent) - 1
    if value and not -4 <= power < _PLAIN:
        tail = "".join(map(str, digits[1:]))
        return f"{'-' * (value < 0)}{digits[0]}{'.' * bool(tail)}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def ordered(value: Mapping[Any, Any]) -> list[Any]:
    """The keys of a map in the order in which Go's range and fmt take them."""
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=str)
