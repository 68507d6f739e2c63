"""What there is to say of a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ANY = "*"
"""A type that a function takes as it is."""

MANY = 64
"""Arguments that a function without a bound takes."""

Kinds = Sequence[str]


@dataclass(frozen=True)
class Function:
    """`takes` are the types that its arguments are converted to, the last one for all that follow.

    `result` is a type, or a function of the arguments' types. `by_type`: `compute` is given their types and returns what
    computes. A `strict` one is null as soon as one argument is; a `lenient` one is null where it fails.
    """

    takes: tuple[str, ...]
    result: str | Callable[[Kinds], str]
    compute: Callable[..., Any]
    least: int
    most: int
    by_type: bool = False
    strict: bool = True
    lenient: bool = True
    volatile: bool = False

    def wanted(self, kinds: Kinds) -> list[str]:
        """The type that each argument is wanted in."""
        return [self.takes[min(index, len(self.takes) - 1)] for index in range(len(kinds))]


def function(
    takes: str, result: str | Callable[[Kinds], str], compute: Callable[..., Any], *, optional: int = 0, many: bool = False,
    by_type: bool = False, strict: bool = True,
) -> Function:  # fmt: skip
    """A function by the types it takes in words: "string long"; the last `optional` of them may be left out."""
    kinds = tuple(takes.split())
    most = MANY if many else len(kinds)
    return Function(kinds, result, compute, len(kinds) - optional, most, by_type=by_type, strict=strict)
