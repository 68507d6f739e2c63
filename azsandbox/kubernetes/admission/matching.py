"""Which requests a webhook or policy is about: rules, scopes and selectors.

Rules: k8s.io/apiserver, packages admission/plugin/webhook/predicates.
"""

from __future__ import annotations

from azsandbox.kubernetes.admission.attributes import Attributes
from azsandbox.kubernetes.admission.chain import Reader
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.common import selects


def rule_matches(rule: Object, attrs: Attributes) -> bool:
    """Whether a rule names the operation and the resource of a request."""
    resource = attrs.resource
    operations = rule.get("operations") or []
    if "*" not in operations and attrs.operation not in operations:
        return False
    if not _names(rule.get("apiGroups"), resource.group) or not _names(rule.get("apiVersions"), resource.version):
        return False
    if not _scope(rule.get("scope") or "*", attrs):
        return False
    names = rule.get("resourceNames") or []
    if names and attrs.name not in names:
        return False
    return any(_resource(pattern, resource.name, attrs.subresource) for pattern in rule.get("resources") or [])


def _names(patterns: list[str] | None, value: str) -> bool:
    return "*" in (patterns or []) or value in (patterns or [])


def _scope(scope: str, attrs: Attributes) -> bool:
    namespaced = attrs.resource.namespaced or (attrs.namespace and not attrs.of("", "Namespace"))
    return scope == "*" or (scope == "Namespaced") == bool(namespaced)


def _resource(pattern: str, name: str, subresource: str) -> bool:
    wanted, _, part = pattern.partition("/")
    return wanted in ("*", name) and part in ("*", subresource)


def selectors_match(server: Reader, holder: Object, attrs: Attributes) -> bool:
    """Whether the namespace and the object have the labels that are asked for."""
    return _namespace(server, holder.get("namespaceSelector"), attrs) and _object(holder.get("objectSelector"), attrs)


def _namespace(server: Reader, selector: Object | None, attrs: Attributes) -> bool:
    if not selector:
        return True
    if attrs.of("", "Namespace"):
        labels = ((attrs.obj or attrs.old or {}).get("metadata") or {}).get("labels")
        return selects(selector, labels)
    if not attrs.namespace:
        return True
    namespace = server.peek("namespaces", "", attrs.namespace) or {}
    return selects(selector, (namespace.get("metadata") or {}).get("labels"))


def _object(selector: Object | None, attrs: Attributes) -> bool:
    if not selector:
        return True
    objects = [obj for obj in (attrs.obj, attrs.old) if obj is not None]
    return any(selects(selector, (obj.get("metadata") or {}).get("labels")) for obj in objects)


def resources_match(server: Reader, constraints: Object | None, attrs: Attributes) -> bool:
    """Whether the match constraints of a policy, or the match resources of a binding, take in a request."""
    constraints = constraints or {}
    if not selectors_match(server, constraints, attrs):
        return False
    if any(rule_matches(rule, attrs) for rule in constraints.get("excludeResourceRules") or []):
        return False
    rules = constraints.get("resourceRules")
    return not rules or any(rule_matches(rule, attrs) for rule in rules)
