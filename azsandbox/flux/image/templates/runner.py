"""A template and data made a text (Go, text/template, exec.go)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azsandbox.flux.image.templates import nodes
from azsandbox.flux.image.templates.lexer import TemplateError
from azsandbox.flux.image.templates.nodes import Node, Pipe, Template
from azsandbox.flux.image.templates.values import MISSING, Missing, Struct, is_true, ordered, shown, type_name
from azsandbox.flux.quoting import quoted

MOST_STEPS = 100_000  # nodes that are run; real messages run a few dozen
LONGEST = 1_000_000  # characters of a text
DEEPEST = 100  # templates in templates

Functions = Mapping[str, Callable[..., Any]]


class FunctionError(ValueError):
    """A function that cannot do with its arguments."""


class _Leave(Exception):
    """break or continue."""


def run(template: Template, data: Any, functions: Functions) -> str:
    """The text of a template over data. Raises TemplateError."""
    runner = _Runner(template, functions)
    runner.each(template.body, data, [("$", data)])
    return "".join(runner.out)


class _Runner:
    def __init__(self, template: Template, functions: Functions) -> None:
        self.template, self.functions = template, functions
        self.out: list[str] = []
        self.steps = self.length = self.depth = 0

    # --- errors

    def error(self, node: Node, message: str) -> TemplateError:
        text = self.template.text[: node.at]
        line, column = 1 + text.count("\n"), len(text.rpartition("\n")[2].encode())
        name = self.template.name
        return TemplateError(f"template: {name}:{line}:{column}: executing {quoted(name)} at <{node}>: {message}")

    # --- nodes

    def each(self, body: Sequence[Node], dot: Any, variables: list[tuple[str, Any]]) -> None:
        for node in body:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise self.error(node, f"NotSupportedInSandbox: a message of more than {MOST_STEPS} steps")
            if isinstance(node, nodes.Text):
                self._print(node, node.text)
            elif isinstance(node, nodes.Action):
                value = self.pipe(node.pipe, dot, variables)
                if not node.pipe.variables:
                    self._print(node, shown(value))
            elif isinstance(node, nodes.Branch):
                self._branch(node, dot, variables)
            elif isinstance(node, nodes.Call):
                self._call(node, dot, variables)
            elif isinstance(node, nodes.Leave):
                raise _Leave(node.kind)

    def _print(self, node: Node, text: str) -> None:
        self.length += len(text)
        if self.length > LONGEST:
            raise self.error(node, f"NotSupportedInSandbox: a message of more than {LONGEST} characters")
        self.out.append(text)

    def _branch(self, node: nodes.Branch, dot: Any, variables: list[tuple[str, Any]]) -> None:
        known = len(variables)
        try:
            value = self.pipe(node.pipe, dot, variables)
            if node.kind == "range":
                self._range(node, value, dot, variables)
            elif is_true(value):
                self.each(node.body, value if node.kind == "with" else dot, variables)
            else:
                self.each(node.otherwise, dot, variables)
        finally:
            del variables[known:]

    def _range(self, node: nodes.Branch, value: Any, dot: Any, variables: list[tuple[str, Any]]) -> None:
        names = node.pipe.variables
        items = self._items(node, value)
        if not items:
            self.each(node.otherwise, dot, variables)
            return
        known = len(variables)
        for key, item in items:
            given = (key, item) if len(names) == 2 else (item,)
            for name, one in zip(names, given, strict=False):
                if node.pipe.assigns:
                    self._assign(variables, name, one)
                else:
                    variables.append((name, one))
            try:
                self.each(node.body, item, variables)
            except _Leave as leave:
                if str(leave) == "break":
                    break
            finally:
                if not node.pipe.assigns:
                    del variables[known:]

    def _items(self, node: nodes.Branch, value: Any) -> list[tuple[Any, Any]]:
        if value is None or isinstance(value, Missing):
            return []
        if isinstance(value, Mapping):
            return [(key, value[key]) for key in ordered(value)]
        if isinstance(value, int) and not isinstance(value, bool):
            if value > MOST_STEPS:
                raise self.error(node.pipe, f"NotSupportedInSandbox: a message of more than {MOST_STEPS} steps")
            return [(number, number) for number in range(value)]
        if isinstance(value, (list, tuple)):
            return list(enumerate(value))
        raise self.error(node.pipe, f"range can't iterate over {shown(value)}")

    def _call(self, node: nodes.Call, dot: Any, variables: list[tuple[str, Any]]) -> None:
        body = self.template.defined.get(node.name)
        if body is None:
            raise self.error(node, f"template {quoted(node.name)} not defined")
        if self.depth >= DEEPEST:
            raise self.error(node, f"exceeded maximum template depth ({DEEPEST})")
        value = self.pipe(node.pipe, dot, variables) if node.pipe else None
        self.depth += 1
        self.each(body, value, [("$", value)])
        self.depth -= 1

    @staticmethod
    def _assign(variables: list[tuple[str, Any]], name: str, value: Any) -> None:
        for index in range(len(variables) - 1, -1, -1):
            if variables[index][0] == name:
                variables[index] = (name, value)
                return

    # --- values

    def pipe(self, pipe: Pipe, dot: Any, variables: list[tuple[str, Any]]) -> Any:
        value: Any = None
        for number, command in enumerate(pipe.commands):
            value = self._command(command, dot, variables, (value,) if number else ())
        for name in pipe.variables[:1] if len(pipe.variables) == 1 else ():
            if pipe.assigns:
                self._assign(variables, name, value)
            else:
                variables.append((name, value))
        return value

    def _command(
        self, command: nodes.Command, dot: Any, variables: list[tuple[str, Any]], final: tuple[Any, ...]
    ) -> Any:
        first, *rest = command.args
        if isinstance(first, nodes.Function):
            return self._function(first, command, rest, dot, variables, final)
        if isinstance(first, (nodes.FieldChain, nodes.Variable, nodes.Chain)):
            return self._value(first, dot, variables, rest, final)
        if rest or final:
            raise self.error(first, f"can't give argument to non-function {first}")
        if isinstance(first, nodes.Constant) and first.value is None:
            raise self.error(first, "nil is not a command")
        return self._value(first, dot, variables)

    def _value(
        self,
        node: Node,
        dot: Any,
        variables: list[tuple[str, Any]],
        rest: Sequence[Node] = (),
        final: tuple[Any, ...] = (),
    ) -> Any:
        """What a node stands for; `rest` and `final` are arguments, for a method at its end."""
        if isinstance(node, nodes.Constant):
            return node.value
        if isinstance(node, nodes.Dot):
            return dot
        if isinstance(node, Pipe):
            return self.pipe(node, dot, variables)
        if isinstance(node, nodes.Function):
            return self._function(node, node, (), dot, variables, ())
        if isinstance(node, nodes.FieldChain):
            start, names = dot, node.names
        elif isinstance(node, nodes.Variable):
            start = next(value for name, value in reversed(variables) if name == node.name)
            names = node.fields
        else:
            assert isinstance(node, nodes.Chain)
            start, names = self.pipe(node.node, dot, variables), node.names
        args = [self._value(arg, dot, variables) for arg in rest]
        for index, name in enumerate(names):
            last = index == len(names) - 1
            start = self._field(node, start, name, [*args, *final] if last else [])
        if not names and (args or final):
            raise self.error(node, f"can't give argument to non-function {node}")
        return start

    def _field(self, node: Node, value: Any, name: str, args: list[Any]) -> Any:
        """A field or method of a value, or a key of a map."""
        if isinstance(value, Missing) or value is None:
            raise self.error(node, f"nil data; no entry for key {quoted(name)}")
        if isinstance(value, Struct):
            found = value.part(name)
            if found is MISSING:
                raise self.error(node, f"can't evaluate field {name} in type {type_name(value)}")
            if callable(found):
                if args:
                    text = f"wrong number of args for {name}: want 0 got {len(args)}"
                    raise self.error(node, text)
                return found()
            value = found
        elif isinstance(value, Mapping):
            found = value.get(name)
            value = MISSING if found is None else found
            if args:
                raise self.error(node, f"{name} is not a method but has arguments")
        else:
            raise self.error(node, f"can't evaluate field {name} in type {type_name(value)}")
        if args:
            raise self.error(node, f"{name} has arguments but cannot be invoked as function")
        return value

    def _function(
        self,
        node: nodes.Function,
        command: Node,
        rest: Sequence[Node],
        dot: Any,
        variables: list[tuple[str, Any]],
        final: tuple[Any, ...],
    ) -> Any:
        if node.name in ("and", "or"):
            return self._logic(node, rest, dot, variables, final)
        args = [self._value(arg, dot, variables) for arg in rest]
        args = [None if isinstance(arg, Missing) else arg for arg in (*args, *final)]
        function = self.functions[node.name]
        wanted = _wanted(function, len(args))
        if wanted:
            raise self.error(node, f"wrong number of args for {node.name}: want {wanted} got {len(args)}")
        try:
            return function(*args)
        except (FunctionError, ValueError, ArithmeticError, LookupError) as error:
            raise self.error(command, f"error calling {node.name}: {error}") from None
        except (TypeError, AttributeError):
            kinds = ", ".join(map(type_name, args))
            raise self.error(command, f"error calling {node.name}: wrong type for value; got {kinds}") from None

    def _logic(
        self,
        node: nodes.Function,
        rest: Sequence[Node],
        dot: Any,
        variables: list[tuple[str, Any]],
        final: tuple[Any, ...],
    ) -> Any:
        """and, or: no further than the answer is known."""
        if not rest and not final:
            raise self.error(node, f"wrong number of args for {node.name}: want at least 1 got 0")
        value: Any = None
        for arg in (*rest, *final):
            value = self._value(arg, dot, variables) if isinstance(arg, Node) else arg
            if is_true(value) is (node.name == "or"):
                return value
        return value


def _wanted(function: Callable[..., Any], given: int) -> str:
    """How many arguments a function takes, empty if as many as are given."""
    parameters = inspect.signature(function).parameters.values()
    plain = [one for one in parameters if one.kind is not one.VAR_POSITIONAL]
    least = sum(one.default is one.empty for one in plain)
    if len(plain) < len(parameters):
        return f"at least {least}" if given < least else ""
    return "" if least <= given <= len(plain) else str(len(plain) if given > len(plain) else least)
