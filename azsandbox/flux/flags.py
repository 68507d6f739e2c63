"""The arguments of a controller, as its Deployment has them: `--name=value`, or `--name` for true."""

from __future__ import annotations

from collections.abc import Iterable

from azsandbox.flux.durations import seconds

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))


class Flags:
    """Reads flags; the last of several with one name counts, unless all are asked for."""

    def __init__(self, arguments: Iterable[str] = ()) -> None:
        self.arguments = tuple(arguments)

    def all(self, name: str) -> list[str]:
        """Every value that a flag was given, in order."""
        found = []
        for argument in self.arguments:
            flag, given, value = argument.lstrip("-").partition("=")
            if flag == name:
                found.append(value if given else "true")
        return found

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return (self.all(name) or [default])[-1]

    def seconds(self, name: str, default: float) -> float:
        """The value of a flag that is a duration, in seconds."""
        value = self.text(name)
        return seconds(value) if value else default

    def number(self, name: str, default: int) -> int:
        """The value of a flag that is a whole number; what is none counts as the default."""
        value = self.text(name)
        return int(value) if value.lstrip("-").isdigit() else default

    def is_set(self, name: str, default: bool = False) -> bool:
        """Whether a flag is true."""
        value = self.text(name)
        return value in _TRUE if value else default

    def gate(self, name: str, default: bool = False) -> bool:
        """Whether a feature gate is on (--feature-gates=Name=true,Other=false)."""
        on = default
        for part in ",".join(self.all("feature-gates")).split(","):
            gate, given, value = part.strip().partition("=")
            if gate == name:
                on = value in _TRUE if given else True
        return on
