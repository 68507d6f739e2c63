"""The tree of a template. `at` of a node is where it stands in the text; str() is how errors show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azsandbox.flux.quoting import quoted


@dataclass(frozen=True)
class Node:
    """Any of them."""

    at: int


@dataclass(frozen=True)
class Text(Node):
    """What stands outside of actions."""

    text: str


@dataclass(frozen=True)
class Constant(Node):
    """A number, text, truth value or nil, as it was written."""

    value: Any
    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True)
class Dot(Node):
    """The data of here."""

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True)
class FieldChain(Node):
    """.A.B"""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True)
class Variable(Node):
    """$x, and fields of it."""

    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.fields))


@dataclass(frozen=True)
class Function(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Chain(Node):
    """Fields of what is in parentheses."""

    node: Pipe
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"({self.node})" + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True)
class Command(Node):
    """A function or value, with arguments."""

    args: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(f"({a})" if isinstance(a, Pipe) else str(a) for a in self.args)


@dataclass(frozen=True)
class Pipe(Node):
    """Commands, each of which gets the value of the one before; and variables that are set by it."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False

    def __str__(self) -> str:
        names = ", ".join(self.variables)
        head = f"{names} {'=' if self.assigns else ':='} " if names else ""
        return head + " | ".join(map(str, self.commands))


@dataclass(frozen=True)
class Action(Node):
    """A pipe whose value is printed."""

    pipe: Pipe

    def __str__(self) -> str:
        return "{{" + str(self.pipe) + "}}"


@dataclass(frozen=True)
class Branch(Node):
    """if, with or range."""

    kind: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Leave(Node):
    """break or continue."""

    kind: str


@dataclass(frozen=True)
class Call(Node):
    """Another template, with data of its own."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return "{{template " + quoted(self.name) + (f" {self.pipe}" if self.pipe else "") + "}}"


@dataclass
class Template:
    """A template with those that it defines."""

    name: str
    text: str
    body: tuple[Node, ...] = ()
    defined: dict[str, tuple[Node, ...]] = field(default_factory=dict)
