"""CEL expressions of admission policies and of webhooks' match conditions.

Variables: k8s.io/apiserver, package admission/plugin/cel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azsandbox.kubernetes.admission.attributes import Attributes
from azsandbox.kubernetes.admission.chain import Reader
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import User
from azsandbox.kubernetes.schema import cel, cel_authorizer

_REQUEST_RESOURCE = "authorizer.requestResource"
_NAMES = ("object", "oldObject", "request", "params", "namespaceObject", "variables", "authorizer", _REQUEST_RESOURCE)


class EvaluationError(Exception):
    """An expression failed at work, as by a missing key."""


@dataclass(frozen=True)
class Scope:
    """What expressions can read of a request, and who answers what they ask about rights."""

    values: dict[str, Any]
    answer: cel_authorizer.Answer


def scope(attrs: Attributes, server: Reader, params: Any = None) -> Scope:
    """What expressions can read of a request."""
    namespace = None
    if attrs.namespace and not attrs.of("", "Namespace"):
        namespace = server.peek("namespaces", "", attrs.namespace)
    resource = attrs.resource
    gvk = attrs.gvk
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
    values = {
        "object": attrs.obj,
        "oldObject": attrs.old,
        "request": request,
        "params": params,
        "namespaceObject": namespace,
        "variables": {},
        "authorizer": cel_authorizer.AUTHORIZER,
        _REQUEST_RESOURCE: cel_authorizer.resource_check(
            resource.group, resource.name, attrs.subresource, attrs.namespace, attrs.name
        ),
    }
    return Scope(values, _answer(attrs.user, server))


def _answer(user: User, server: Reader) -> cel_authorizer.Answer:
    def answer(check: cel_authorizer.Check) -> tuple[bool, str]:
        who = _service_account(check.user) if check.user else user
        question = Question(
            who,
            check.verb,
            group=check.group,
            resource=check.resource,
            subresource=check.subresource,
            namespace=check.namespace,
            name=check.name,
            path=check.path,
        )
        decision = server.authorization.decide(question)
        return decision.allowed, decision.reason

    return answer


def _service_account(name: str) -> User:
    namespace = name.split(":")[2]
    return User(name, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"))


def evaluate(expression: str, scope: Scope) -> Any:
    """The value of an expression as plain data. Raises EvaluationError, also for what cannot be compiled."""
    try:
        program = cel.compiled(expression, _NAMES)
    except cel.CelError as error:
        raise EvaluationError(f"compilation failed: {error}") from None
    try:
        with cel_authorizer.asking(scope.answer):
            return program.run(scope.values)
    except cel.CelError as error:
        raise EvaluationError(str(error)) from None
