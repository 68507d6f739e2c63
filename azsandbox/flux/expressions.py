"""CEL in Flux's objects: health checks of kinds that kstatus does not know, and when a dependency is ready.

Rules and texts: fluxcd/pkg/runtime/cel.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.kstatus import Result, Rule, Status, is_generation_observed
from azsandbox.flux.object_refs import group_of

_UNDECLARED = re.compile(r"undeclared reference to '([A-Za-z_]\w*)(?:\.[\w.]+)?'")


class BadExpression(ValueError):
    """An expression that cannot be parsed, or a list of health checks that contradicts itself."""


class FailedExpression(RuntimeError):
    """An expression that failed on an object."""


class Expression:
    """A CEL expression over `variables`, each an object; without them, over whatever names it has.

    With variables it is checked when it is made, and must be sure to give what `output` names (empty: anything).
    """

    def __init__(self, text: str, variables: tuple[str, ...] = (), output: str = "bool") -> None:
        self.text = text
        try:
            self.program, self.names = _checked(text, variables) if variables else _parsed(text)
        except RuntimeError as error:
            raise BadExpression(f"failed to parse the CEL expression '{text}': {_words(str(error))}") from None
        if variables and output:
            kind = str(self.program.return_type()).lower().replace("<", "(").replace(">", ")")
            if kind != output:
                raise BadExpression(f"CEL expression output type mismatch: expected {output}, got {kind}")

    def is_true(self, values: dict[str, Any]) -> bool:
        """Whether the expression is true of some values. Raises FailedExpression."""
        found = self.value(values)
        if not isinstance(found, bool):
            raise FailedExpression(f"failed to evaluate CEL expression as boolean: '{self.text}'")
        return found

    def text_of(self, values: dict[str, Any]) -> str:
        """The text that the expression makes of some values. Raises FailedExpression."""
        found = self.value(values)
        if not isinstance(found, str):
            raise FailedExpression(f"failed to evaluate CEL expression as string: '{self.text}'")
        return found

    def value(self, values: dict[str, Any]) -> Any:
        """What the expression makes of some values. Raises FailedExpression."""
        from cel_expr_python import cel

        missing = [name for name in self.names if name not in values]
        error = ""
        try:
            found = self.program.eval(data={name: values[name] for name in self.names if name in values})
            if found.type() == cel.Type.ERROR:
                error = str(found.value())
        except RuntimeError as problem:
            error = str(problem)
        if error:
            said = f"no such attribute(s): {self._reference(missing[0])}" if missing else _words(error)
            raise FailedExpression(f"failed to evaluate the CEL expression '{self.text}': {said}")
        return found.plain_value()

    def _reference(self, name: str) -> str:
        """The fields that the text takes from a name, which cel-go looks for as one name first."""
        found = re.search(rf"(?<![\w.]){name}(?:\.\w+(?!\w*\s*\())*", self.text)
        return found.group() if found else name


def _checked(text: str, variables: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    from cel_expr_python import cel

    objects = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return _environment(dict.fromkeys(variables, objects)).compile(text), variables


def _parsed(text: str) -> tuple[Any, tuple[str, ...]]:
    """Compiles with every name that the text leaves open as a variable: the engine has no parser alone."""
    from cel_expr_python import cel

    names: list[str] = []
    while True:
        try:
            return _environment(dict.fromkeys(names, cel.Type.DYN)).compile(text), tuple(names)
        except RuntimeError as error:
            new = [name for name in _UNDECLARED.findall(str(error)) if name not in names]
            if not new:
                raise
            names += dict.fromkeys(new)


def _environment(variables: dict[str, Any]) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_encoders, ext_optional, ext_strings

    extensions = [ext_strings.ExtStrings(), ext_optional.ExtOptional(), ext_encoders.ExtEncoders()]
    return cel.NewEnv(variables=variables, extensions=extensions, functions=_sets(cel))


def _sets(cel: Any) -> list[Any]:
    """The functions of cel-go's sets extension, which the engine lacks."""
    items, flag = cel.Type.List(cel.Type.DYN), cel.Type.BOOL

    def function(name: str, implementation: Callable[[list[Any], list[Any]], bool]) -> Any:
        label = f"flux_{name.replace('.', '_')}"
        return cel.FunctionDecl(name, [cel.Overload(label, flag, [items, items], False, implementation)])

    return [
        function("sets.contains", lambda left, right: all(item in left for item in right)),
        function("sets.intersects", lambda left, right: any(item in left for item in right)),
        function(
            "sets.equivalent", lambda left, right: all(i in left for i in right) and all(i in right for i in left)
        ),
    ]


def _words(message: str) -> str:
    """The engine's error in the words of cel-go."""
    text = re.sub(r"^[A-Z_]+: ", "", message).removesuffix(" [INVALID_ARGUMENT]")
    found = re.fullmatch(r'Key not found in map : "?(.*?)"?', text)
    if found:
        return f"no such key: {found.group(1)}"
    return "no such overload" if text.startswith("No matching overloads found") else text


class HealthChecks:
    """The rules of spec.healthCheckExprs, by group and kind. Raises BadExpression."""

    def __init__(self, checks: Objects) -> None:
        self._rules: dict[tuple[str, str], Rule] = {}
        for number, check in enumerate(checks):
            key = (group_of(check["apiVersion"]), check.get("kind") or "")
            if key in self._rules:
                name = f"{key[1]}.{key[0]}" if key[0] else key[1]
                raise BadExpression(f"duplicate custom health check for GroupKind {name} at healthchecks[{number}]")
            try:
                self._rules[key] = _rule(check)
            except BadExpression as error:
                text = f"failed to create custom status evaluator for healthchecks[{number}]: {error}"
                raise BadExpression(text) from None

    def rule(self, group: str, kind: str) -> Rule | None:
        """How a kind's status is computed here: by a check of the kind, or else one of its whole group."""
        return self._rules.get((group, kind)) or self._rules.get((group, ""))


def _rule(check: Object) -> Rule:
    """The order of the expressions is that of Flux's RFC 0009; where none is true the object is in progress."""
    if not check.get("current"):
        raise BadExpression("expression Current not specified")
    named = {"current": "Current", "failed": "Failed", "inProgress": "InProgress"}
    parsed: dict[str, Expression] = {}
    for field, name in named.items():
        if check.get(field):
            try:
                parsed[field] = Expression(check[field])
            except BadExpression as error:
                raise BadExpression(f"failed to parse the expression {name}: {error}") from None
    order = (("inProgress", Status.IN_PROGRESS), ("failed", Status.FAILED), ("current", Status.CURRENT))

    def rule(obj: Object) -> Result:
        if not is_generation_observed(obj):
            return Result(Status.IN_PROGRESS)
        for field, status in order:
            if field in parsed and parsed[field].is_true(obj):
                return Result(status)
        return Result(Status.IN_PROGRESS)

    return rule


def dependency_is_ready(text: str, own: Object, dependency: Object) -> bool:
    """Whether `readyExpr` of dependsOn holds. Raises BadExpression (which no retry heals) and FailedExpression."""
    try:
        expression = Expression(text, ("self", "dep"))
    except BadExpression as error:
        raise BadExpression(f"failed to evaluate dependency {dependency['metadata']['name']}: {error}") from None
    return expression.is_true({"self": own, "dep": dependency})
