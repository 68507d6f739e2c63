"""CEL in Flux's objects: health checks of kinds that kstatus does not know, and when a dependency is ready.

Rules and texts: fluxcd/pkg/runtime/cel.
"""

from __future__ import annotations

import re
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.kstatus import Result, Rule, Status, is_generation_observed
from azsandbox.flux.object_refs import group_of
from azsandbox.kubernetes.schema.cel import CelError, Program, compiled

_NAME = re.compile(r"(?<![\w.?])[A-Za-z_]\w*")
_STRING = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_UNBOUND = re.compile(r'No value with name "(.*?)" found in Activation')


class BadExpression(ValueError):
    """An expression that cannot be parsed, or a list of health checks that contradicts itself."""


class FailedExpression(RuntimeError):
    """An expression that failed on an object."""


class Expression:
    """A CEL expression over `variables`; without them, over whatever names it has (parsed, not checked)."""

    def __init__(self, text: str, variables: tuple[str, ...] = ()) -> None:
        self.text = text
        names = variables or tuple(sorted(set(_NAME.findall(_STRING.sub("", text)))))
        try:
            self.program: Program = compiled(text, names)
        except CelError as error:
            raise BadExpression(f"failed to parse the CEL expression '{text}': {error}") from None

    def is_true(self, values: dict[str, Any]) -> bool:
        """Whether the expression is true of some values. Raises FailedExpression."""
        try:
            found = self.program.run(values)
        except CelError as error:
            text = _UNBOUND.sub(r"no such attribute(s): \1", str(error))
            raise FailedExpression(f"failed to evaluate the CEL expression '{self.text}': {text}") from None
        if not isinstance(found, bool):
            raise FailedExpression(f"failed to evaluate CEL expression as boolean: '{self.text}'")
        return found


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
