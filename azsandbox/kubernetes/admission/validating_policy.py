"""ValidatingAdmissionPolicy: rules in CEL, bound to what they are to watch over.

Rules and texts: k8s.io/apiserver, package admission/plugin/policy/validating.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azsandbox.kubernetes.admission import expressions
from azsandbox.kubernetes.admission.attributes import CONNECT, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.admission.matching import resources_match
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.common import selects

_GROUP = "admissionregistration.k8s.io"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


@dataclass(frozen=True)
class _Denial:
    policy: str
    binding: str
    message: str
    reason: str = ""


class ValidatingAdmissionPolicy(Plugin):
    """Evaluates the policies that are bound to a request."""

    async def validate(self, attrs: Attributes) -> None:
        if attrs.resource.group == _GROUP and "AdmissionPolicy" in attrs.resource.kind:
            return
        bindings = self.server.peek_list(f"validatingadmissionpolicybindings.{_GROUP}")
        if not bindings or attrs.operation == CONNECT:
            return
        denials: list[_Denial] = []
        for policy in self.server.peek_list(f"validatingadmissionpolicies.{_GROUP}"):
            own = [b for b in bindings if (b.get("spec") or {}).get("policyName") == policy["metadata"]["name"]]
            if own and resources_match(self.server, (policy.get("spec") or {}).get("matchConstraints"), attrs):
                denials += self._evaluate(attrs, policy, own)
        if denials:
            raise _refusal(attrs, denials[0])

    def _evaluate(self, attrs: Attributes, policy: Object, bindings: list[Object]) -> list[_Denial]:
        denials: list[_Denial] = []
        name = policy["metadata"]["name"]
        for binding in bindings:
            spec = binding.get("spec") or {}
            if not resources_match(self.server, spec.get("matchResources"), attrs):
                continue
            label = binding["metadata"]["name"]
            params, fault = self._params(policy, spec.get("paramRef"), attrs.namespace)
            if fault:
                if (policy["spec"].get("failurePolicy") or "Fail") == "Fail":
                    denials.append(_Denial(name, label, f"failed to configure binding: {fault}"))
                continue
            for param in params:
                for message, reason in self._violations(attrs, policy["spec"], param):
                    denials += self._act(attrs, spec, _Denial(name, label, message, reason))
        return denials

    @staticmethod
    def _act(attrs: Attributes, spec: Object, denial: _Denial) -> list[_Denial]:
        actions = spec.get("validationActions") or []
        if "Warn" in actions:
            where = f"ValidatingAdmissionPolicy '{denial.policy}' with binding '{denial.binding}'"
            attrs.warnings.append(f"Validation failed for {where}: {denial.message}")
        if "Audit" in actions:
            attrs.audit["validation.policy.admission.k8s.io/validation_failure"] = denial.message
        return [denial] if "Deny" in actions else []

    def _params(self, policy: Object, reference: Object | None, namespace: str) -> tuple[list[Any], str]:
        """The parameters of a binding; one that is None where the policy takes none."""
        kind = (policy.get("spec") or {}).get("paramKind")
        if not kind or not reference:
            return [None], ""
        group = kind.get("apiVersion", "").rpartition("/")[0]
        found = None
        for resource in getattr(self.server, "resources", ()):
            if resource.kind == kind.get("kind") and resource.group == group:
                found = resource
                break
        if found is None:
            text = (
                f"failed to find resource referenced by paramKind: '{kind.get('apiVersion')}, Kind={kind.get('kind')}'"
            )
            return [], text
        space = (reference.get("namespace") or namespace) if found.namespaced else ""
        if reference.get("name"):
            one = self.server.peek(found.qualified, space, reference["name"])
            params = [one] if one is not None else []
        else:
            params = [
                item
                for item in self.server.peek_list(found.qualified, space)
                if selects(reference.get("selector"), (item.get("metadata") or {}).get("labels"))
            ]
        if params or reference.get("parameterNotFoundAction") == "Allow":
            return params, ""
        return [], "no params found for policy binding with `Deny` parameterNotFoundAction"

    def _violations(self, attrs: Attributes, spec: Object, param: Any) -> list[tuple[str, str]]:
        """Messages and reasons of the rules that do not hold. Errors count by the failure policy."""
        fails = (spec.get("failurePolicy") or "Fail") == "Fail"
        scope = expressions.scope(attrs, self.server, param)
        for condition in spec.get("matchConditions") or []:
            try:
                if expressions.evaluate(condition.get("expression") or "", scope) is not True:
                    return []
            except expressions.EvaluationError as error:
                text = f"expression '{condition.get('expression')}' resulted in error: {error}"
                return [(text, "")] if fails else []
        for variable in spec.get("variables") or []:
            try:
                scope.values["variables"][variable["name"]] = expressions.evaluate(
                    variable.get("expression") or "", scope
                )
            except expressions.EvaluationError:
                continue  # the rules that read it fail in its place
        found = []
        for rule in spec.get("validations") or []:
            expression = (rule.get("expression") or "").strip()
            try:
                if expressions.evaluate(expression, scope) is not True:
                    found.append((_message(rule, expression, scope), rule.get("reason") or "Invalid"))
            except expressions.EvaluationError as error:
                if fails:
                    found.append((f"expression '{expression}' resulted in error: {error}", ""))
        return found


def _message(rule: Object, expression: str, scope: expressions.Scope) -> str:
    if rule.get("messageExpression"):
        try:
            said = expressions.evaluate(rule["messageExpression"], scope)
            if isinstance(said, str) and said.strip() and "\n" not in said:
                return said
        except expressions.EvaluationError:
            pass
    return (rule.get("message") or "").strip() or f"failed expression: {expression}"


def _refusal(attrs: Attributes, denial: _Denial) -> StatusError:
    where = f"ValidatingAdmissionPolicy '{denial.policy}' with binding '{denial.binding}'"
    message = f"{where} denied request: {denial.message}"
    error = attrs.forbidden(message)
    error.reason = denial.reason or "Invalid"
    error.code = _CODES.get(error.reason, 422)
    error.details = {**(error.details or {}), "causes": [{"message": message}]}
    return error
