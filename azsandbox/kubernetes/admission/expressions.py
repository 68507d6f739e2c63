"""CEL expressions of admission policies and of webhooks' match conditions.

Variables: k8s.io/apiserver, package admission/plugin/cel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings

from azsandbox.kubernetes.admission.attributes import Attributes
from azsandbox.kubernetes.admission.chain import Reader

NAMES = ("object", "oldObject", "request", "params", "namespaceObject", "variables", "authorizer")


class CompileError(Exception):
    """An expression is not CEL, or names what is not there."""


class EvaluationError(Exception):
    """An expression failed at work, as by a missing key."""


@lru_cache(16)
def _environment(names: tuple[str, ...]) -> Any:
    variables = dict.fromkeys(names, cel.Type.DYN)
    return cel.NewEnv(
        variables=variables, extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_math.ExtMath()]
    )


@lru_cache(1024)
def compiled(expression: str, names: tuple[str, ...] = NAMES) -> Any:
    """An expression over some variables, ready to be evaluated. Raises CompileError."""
    try:
        return _environment(names).compile(expression)
    except Exception as error:
        raise CompileError(str(error)) from None


def variables(attrs: Attributes, server: Reader, params: Any = None) -> dict[str, Any]:
    """What expressions can read of a request."""
    namespace = None
    if attrs.namespace and not attrs.of("", "Namespace"):
        namespace = server.peek("namespaces", "", attrs.namespace)
    resource = attrs.resource
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    gvr = {"group": resource.group, "version": resource.version, "resource": resource.name}
    request = {
        "kind": gvk,
        "resource": gvr,
        "requestKind": gvk,
        "requestResource": gvr,
        "subResource": attrs.subresource,
        "requestSubResource": attrs.subresource,
        "name": attrs.name,
        "namespace": attrs.namespace,
        "operation": attrs.operation,
        "userInfo": {"username": attrs.user.name, "uid": attrs.user.uid, "groups": list(attrs.user.groups)},
        "dryRun": attrs.dry_run,
        "options": attrs.options,
    }
    return {
        "object": attrs.obj,
        "oldObject": attrs.old,
        "request": request,
        "params": params,
        "namespaceObject": namespace,
        "variables": {},
        "authorizer": None,
    }


def evaluate(expression: str, scope: dict[str, Any]) -> Any:
    """The value of an expression as plain data. Raises EvaluationError, also for what cannot be compiled."""
    try:
        program = compiled(expression)
    except CompileError as error:
        raise EvaluationError(f"compilation failed: {error}") from None
    try:
        value = program.eval(data=scope)
        if value.type() == cel.Type.ERROR:
            raise EvaluationError(_message(value.plain_value()))
        return value.plain_value()
    except EvaluationError:
        raise
    except Exception as error:
        raise EvaluationError(_message(error)) from None


def _message(error: Any) -> str:
    """The engine's words as cel-go has them."""
    text = str(error)
    _, found, rest = text.partition("Key not found in map : ")
    if found:
        return f"no such key: {rest.strip().strip(chr(34))}"
    return text
