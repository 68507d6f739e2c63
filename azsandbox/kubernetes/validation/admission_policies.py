"""Validation of ValidatingAdmissionPolicies, of their bindings and of their status.

Rules and texts: k8s.io/kubernetes, pkg/apis/admissionregistration/validation.
"""

from __future__ import annotations

import re

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.admission_rules import (
    FAILURE_POLICIES,
    GROUP,
    MATCH_POLICIES,
    REQUEST,
    Variables,
    expression,
    match_conditions,
    rule_with_operations,
    type_of,
)
from azsandbox.kubernetes.validation.common import formatted, label_selector, named, supported
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ACTIONS = ("Audit", "Deny", "Warn")
_MAX_ANNOTATIONS = 20
_MAX_VALUE_EXPRESSION = 5 * 1024
_BOTH = "validations or auditAnnotations must contain at least one item"
_EXCLUSIVE = "name and selector are mutually exclusive"
_DENY_AND_WARN = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and"
    " headers serves no purpose)"
)
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")
_RESERVED = re.compile(
    r"(true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void"
    r"|while)\Z"
)


@on_create(GROUP, "ValidatingAdmissionPolicy")
def policy(obj: Object) -> Errors:
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name") or ""
    kind = spec.get("paramKind")
    params = ("params",) if kind is not None else ()
    known = (*REQUEST, *params, *(("variables",) if spec.get("variables") else ()))
    found: Errors = []
    if spec.get("failurePolicy") is None:
        found.append(required("spec.failurePolicy"))
    else:
        found += supported(spec["failurePolicy"], "spec.failurePolicy", FAILURE_POLICIES)
    if kind is not None:
        found += _param_kind(kind, "spec.paramKind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        found.append(required("spec.matchConstraints"))
    else:
        found += _match_resources(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            found.append(required("spec.matchConstraints.resourceRules"))
    found += match_conditions(spec.get("matchConditions") or [], "spec.matchConditions", bool(params))
    variables: dict[str, str] = {}
    for index, variable in enumerate(spec.get("variables") or []):
        found += _variable(variable, f"spec.variables[{index}]", known, variables)
    own = tuple(variables.items())
    rules, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not rules and not annotations:
        return [*found, required("spec.validations", _BOTH), required("spec.auditAnnotations", _BOTH)]
    for index, rule in enumerate(rules):
        found += _validation(rule, f"spec.validations[{index}]", known, own)
    return found + _annotations(annotations, "spec.auditAnnotations", name, known, own)


on_update(GROUP, "ValidatingAdmissionPolicy")(lambda new, old: policy(new))


def _param_kind(kind: Object, path: str) -> Errors:
    found: Errors = []
    whole, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    group, _, version = whole.rpartition("/")
    if not whole:
        found.append(required(f"{path}.apiVersion"))
    elif whole.count("/") > 1:
        found.append(invalid(f"{path}.apiVersion", whole, f"unexpected GroupVersion string: {whole}"))
    else:
        faults = formats.dns_subdomain(group) if group else []
        if faults:
            found.append(invalid(f"{path}.apiVersion", group, ",".join(faults)))
        faults = formats.dns_1035_label(version) if version else []
        if not version:
            found.append(invalid(f"{path}.apiVersion", whole, "version must be specified"))
        elif faults:
            found.append(invalid(f"{path}.apiVersion", version, ",".join(faults)))
    faults = formats.dns_1035_label(name.lower()) if name else []
    if not name:
        found.append(required(f"{path}.kind"))
    elif faults:
        text = f"may have mixed case, but should otherwise match: {','.join(faults)}"
        found.append(invalid(f"{path}.kind", name, text))
    return found


def _variable(item: Object, path: str, known: tuple[str, ...], variables: dict[str, str]) -> Errors:
    """Checks a variable, and enters its type among those that later expressions read."""
    found: Errors = []
    name, text = item.get("name") or "", item.get("expression") or ""
    if not name.strip():
        found.append(required(f"{path}.name", "name is not specified"))
    elif not _IDENTIFIER.match(name) or _RESERVED.match(name):
        found.append(invalid(f"{path}.name", name, "must be a valid CEL identifier"))
    if not text.strip():
        return [*found, required(f"{path}.expression", "expression is not specified")]
    names, own = (*known, "authorizer"), tuple(variables.items())
    faults = expression(text, f"{path}.expression", (), names, variables=own)
    variables[name] = "dyn" if faults else type_of(text, names, own)
    return found + faults


def _validation(rule: Object, path: str, known: tuple[str, ...], variables: Variables) -> Errors:
    found: Errors = []
    text, message, said = rule.get("expression") or "", rule.get("message") or "", rule.get("messageExpression") or ""
    if not text.strip():
        found.append(required(f"{path}.expression", "expression is not specified"))
    else:
        found += expression(text, f"{path}.expression", ("bool",), (*known, "authorizer"), variables=variables)
    if said.strip():
        found += expression(said, f"{path}.messageExpression", ("string",), known, variables=variables)
    elif said:
        found.append(invalid(f"{path}.messageExpression", said, "must be non-empty if specified"))
    if message and not message.strip():
        found.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif re.search(r"[\n\r]", message.strip()):
        found.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    if rule.get("reason") is not None:
        found += supported(rule["reason"], f"{path}.reason", _REASONS)
    return found


def _annotations(
    items: list[Object], path: str, policy_name: str, known: tuple[str, ...], variables: Variables
) -> Errors:
    found: Errors = []
    if len(items) > _MAX_ANNOTATIONS:
        shown = [internal.shown(item, "admissionregistration.AuditAnnotation") for item in items]
        found.append(invalid(path, shown, f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations"))
    keys: set[str] = set()
    for index, item in enumerate(items):
        here, key, text = f"{path}[{index}]", item.get("key") or "", (item.get("valueExpression") or "").strip()
        if policy_name:
            found += formatted(f"{policy_name}/{key}", f"{here}.key", formats.qualified_name)
        else:
            found.append(invalid(f"{here}.key", key, "requires metadata.name be non-empty"))
        if not text:
            found.append(required(f"{here}.valueExpression", "valueExpression is not specified"))
        elif len(text.encode()) > _MAX_VALUE_EXPRESSION:
            limit = f"must not exceed {_MAX_VALUE_EXPRESSION} bytes in length"
            found.append(required(f"{here}.valueExpression", limit))
        else:
            results, shown = ("string", "null_type"), item["valueExpression"]
            found += expression(text, f"{here}.valueExpression", results, (*known, "authorizer"), shown, variables)
        if key in keys:
            found.append(duplicate(f"{here}.key", key))
        keys.add(key)
    return found


def _match_resources(item: Object, path: str) -> Errors:
    found: Errors = []
    if item.get("matchPolicy") is None:
        found.append(required(f"{path}.matchPolicy"))
    else:
        found += supported(item["matchPolicy"], f"{path}.matchPolicy", MATCH_POLICIES)
    for key in ("namespaceSelector", "objectSelector"):
        if item.get(key) is None:
            found.append(required(f"{path}.{key}"))
        else:
            found += label_selector(item[key], f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(item.get(key) or []):
            found += _named_rule(rule, f"{path}.{key}[{index}]")
    return found


def _named_rule(rule: Object, path: str) -> Errors:
    found: Errors = []
    names = rule.get("resourceNames") or []
    for index, name in enumerate(names):
        found += formatted(name, f"{path}.resourceNames[{index}]", formats.path_segment)
        if name in names[:index]:
            found.append(duplicate(f"{path}.resourceNames[{index}]", name))
    return found + rule_with_operations(rule, path)


@on_create(GROUP, "ValidatingAdmissionPolicyBinding")
def binding(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = named(spec.get("policyName"), "spec.policyName", formats.dns_subdomain)
    if spec.get("paramRef") is not None:
        found += _parameters(spec["paramRef"], "spec.paramRef")
    if spec.get("matchResources") is not None:
        found += _match_resources(spec["matchResources"], "spec.matchResources")
    actions, where = spec.get("validationActions") or [], "spec.validationActions"
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            found.append(not_supported(f"{where}[{index}]", action, _ACTIONS))
        if action in actions[:index]:
            found.append(duplicate(f"{where}[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        found.append(invalid(where, actions, _DENY_AND_WARN))
    if not actions:
        found.append(required(where, "at least one validation action is required"))
    return found


on_update(GROUP, "ValidatingAdmissionPolicyBinding")(lambda new, old: binding(new))


def _parameters(reference: Object, path: str) -> Errors:
    found: Errors = []
    name, selector = reference.get("name") or "", reference.get("selector")
    if name:
        found += formatted(name, f"{path}.name", formats.path_segment)
        if selector is not None:
            found.append(forbidden(f"{path}.name", _EXCLUSIVE))
    if selector is not None:
        found += label_selector(selector, f"{path}.selector")
        if name:
            found.append(forbidden(f"{path}.selector", _EXCLUSIVE))
    elif not name:
        found.append(required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    if not action:
        found.append(required(f"{path}.parameterNotFoundAction"))
    else:
        found += supported(action, f"{path}.parameterNotFoundAction", ("Deny", "Allow"))
    return found
