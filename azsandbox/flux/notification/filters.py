"""The CEL of Receivers: which resources a request is about, and which tokens are accepted."""

from __future__ import annotations

import json
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.expressions import BadExpression, Expression, FailedExpression

OIDC = "generic-oidc"
BAD_EXPRESSION, INVALID = "InvalidCELExpression", "ValidationFailed"


class TokenRefused(Exception):
    """A token that does not satisfy a Receiver's validations; the message is the controller's."""


def resource_filter(text: str, *, claims: bool) -> Expression:
    """A filter of resources, over `res`, `req` and with `claims` those of a token. Raises BadExpression."""
    return Expression(text, ("res", "req", "claims") if claims else ("res", "req"), "bool")


def mistake(receiver: Object) -> tuple[str, str] | None:
    """What is wrong with a Receiver's expressions or providers of tokens: a reason and a message, or None."""
    spec = receiver["spec"]
    claims = spec["type"] == OIDC
    if spec.get("resourceFilter"):
        try:
            resource_filter(spec["resourceFilter"], claims=claims)
        except BadExpression as error:
            return BAD_EXPRESSION, f"invalid resourceFilter expression: {error}"
    for index, resource in enumerate(spec["resources"]):
        if resource.get("filter"):
            try:
                resource_filter(resource["filter"], claims=claims)
            except BadExpression as error:
                which = f"resources[{index}] (kind={json.dumps(resource['kind'])}, name={json.dumps(resource['name'])})"
                return BAD_EXPRESSION, f"invalid filter expression for {which}: {error}"
    providers: Objects = spec.get("oidcProviders") or []
    wrong = _misplaced(spec, claims) or _incomplete(providers)
    if wrong:
        return INVALID, wrong
    for index, provider in enumerate(providers):
        try:
            TokenRules(provider)
        except BadExpression as error:
            return BAD_EXPRESSION, f"oidcProviders[{index}] (issuerURL={json.dumps(provider['issuerURL'])}): {error}"
    return None


def _misplaced(spec: Object, claims: bool) -> str:
    if claims and not spec.get("oidcProviders"):
        return "generic-oidc receiver requires at least one oidcProvider"
    if not claims and spec.get("oidcProviders"):
        return "oidcProviders can only be set when type is generic-oidc"
    if claims and "secretRef" in spec:
        return "secretRef cannot be set when type is generic-oidc"
    if not claims and "secretRef" not in spec:
        return "secretRef is required when type is not generic-oidc"
    return ""


def _incomplete(providers: Objects) -> str:
    seen: set[str] = set()
    for index, provider in enumerate(providers):
        issuer = provider.get("issuerURL", "")
        at = f"oidcProviders[{index}]"
        if not issuer:
            return f"{at}: issuerURL is required"
        quoted = json.dumps(issuer)
        if not issuer.startswith(("http://", "https://")):
            return f"{at}: issuerURL {quoted} must start with http:// or https://"
        if issuer in seen:
            return f"{at}: duplicate issuerURL {quoted}"
        seen.add(issuer)
        if not provider.get("validations"):
            return (
                f"{at} (issuerURL={quoted}): at least one validation is required; without validations any caller "
                "able to obtain a token from this issuer can trigger the Receiver"
            )
    return ""


class TokenRules:
    """What one provider's tokens must satisfy: variables, and validations over them. Raises BadExpression."""

    def __init__(self, provider: Object) -> None:
        self.variables: list[tuple[str, Expression]] = []
        self.validations: list[tuple[Expression, str]] = []
        for variable in provider.get("variables") or ():
            try:
                self.variables.append((variable["name"], Expression(variable["expression"], ("claims", "vars"), "")))
            except BadExpression as error:
                quoted = json.dumps(variable["name"])
                raise BadExpression(f"invalid expression for variable {quoted}: {error}") from None
        for rule in provider.get("validations") or ():
            try:
                self.validations.append((Expression(rule["expression"], ("claims", "vars"), "bool"), rule["message"]))
            except BadExpression as error:
                quoted = json.dumps(rule["message"])
                raise BadExpression(f"invalid expression for validation {quoted}: {error}") from None

    def check(self, claims: dict[str, Any]) -> None:
        """Raises TokenRefused for claims that do not satisfy the validations."""
        values: dict[str, Any] = {}
        data = {"claims": claims, "vars": values}
        for name, expression in self.variables:
            try:
                values[name] = expression.value(data)
            except FailedExpression as error:
                raise TokenRefused(f"failed to evaluate variable {json.dumps(name)}: {error}") from None
        failures = []
        for expression, message in self.validations:
            try:
                if not expression.is_true(data):
                    failures.append(message)
            except FailedExpression as error:
                raise TokenRefused(f"failed to evaluate validation: {error}") from None
        if failures:
            raise TokenRefused(f"token validation failed: {'; '.join(failures)}")
