"""What webhook configurations and admission policies share: rules of what they watch over, and their CEL.

Rules and texts: k8s.io/kubernetes, pkg/apis/admissionregistration/validation.
"""

from __future__ import annotations

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import cel
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import named, supported
from azsandbox.kubernetes.validation.errors import Errors, duplicate, invalid, required, too_many

GROUP = "admissionregistration.k8s.io"
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REQUEST = ("object", "oldObject", "request", "namespaceObject")  # what every expression can read
Variables = tuple[tuple[str, str], ...]  # names and types
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


def rule_with_operations(rule: Object, path: str) -> Errors:
    """A rule of operations, groups, versions and resources."""
    found: Errors = []
    operations = rule.get("operations") or []
    if not operations:
        found.append(required(f"{path}.operations"))
    found += _wildcard(operations, f"{path}.operations", "operations")
    for index, operation in enumerate(operations):
        found += supported(operation, f"{path}.operations[{index}]", _OPERATIONS)
    for key, word in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(key) or []
        if not values:
            found.append(required(f"{path}.{key}"))
        found += _wildcard(values, f"{path}.{key}", word)
    versions = enumerate(rule.get("apiVersions") or [])
    found += [required(f"{path}.apiVersions[{index}]") for index, version in versions if not version]
    found += _resources(rule.get("resources") or [], f"{path}.resources")
    if rule.get("scope") is not None:
        found += supported(rule["scope"], f"{path}.scope", _SCOPES)
    return found


def _wildcard(values: list[str], path: str, word: str) -> Errors:
    if len(values) > 1 and "*" in values:
        return [invalid(path, values, f"if '*' is present, must not specify other {word}")]
    return []


def _resources(resources: list[str], path: str) -> Errors:
    found: Errors = [] if resources else [required(path)]
    whole: set[str] = set()  # resources of which every sub-resource was named
    everywhere: set[str] = set()  # sub-resources that were named of every resource
    plain = False  # whether the last resource without a sub-resource is not "*": so it is judged there
    for index, text in enumerate(resources):
        if not text:
            found.append(required(f"{path}[{index}]"))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            plain = text != "*"
            continue
        if resource in whole:
            found.append(invalid(f"{path}[{index}]", text, f"if '{resource}/*' is present, must not specify {text}"))
        if sub in everywhere:
            found.append(invalid(f"{path}[{index}]", text, f"if '*/{sub}' is present, must not specify {text}"))
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        found.append(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
    if "*" in resources and plain:
        text = "if '*' is present, must not specify other resources without subresources"
        found.append(invalid(path, resources, text))
    return found


def match_conditions(items: list[Object], path: str, params: bool = False) -> Errors:
    """Conditions that a request must meet; `params` says whether they can read parameters."""
    found: Errors = []
    names: set[str] = set()
    if len(items) > 64:
        found.append(too_many(path, len(items), 64))
    for index, item in enumerate(items):
        here, name, text = f"{path}[{index}]", item.get("name") or "", (item.get("expression") or "").strip()
        if text:
            known = (*REQUEST, "authorizer", *(("params",) if params else ()))
            found += expression(text, f"{here}.expression", ("bool",), known)
        else:
            found.append(required(f"{here}.expression"))
        found += named(name, f"{here}.name", formats.qualified_name)
        if name and name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
    return found


def expression(
    text: str, path: str, results: tuple[str, ...], names: tuple[str, ...], shown: str = "", variables: Variables = ()
) -> Errors:
    """Whether CEL text compiles over `names` and gives one of `results`; no results: any value will do.

    `variables` are those of a policy, with their types, which the text reads as `variables.NAME`.
    """
    try:
        kind = type_of(text, names, variables)
    except cel.CelError as error:
        return [invalid(path, shown or text, f"compilation failed: {error}")]
    if not results or kind in results:
        return []
    wanted = results[0] if len(results) == 1 else f"one of [{' '.join(results)}]"
    return [invalid(path, shown or text, f"must evaluate to {wanted} but got {kind}")]


def type_of(text: str, names: tuple[str, ...], variables: Variables = ()) -> str:
    """The type of CEL text over `names`. Raises cel.CelError."""
    return cel.checked(text, (*names, "authorizer.requestResource") if "authorizer" in names else names, variables)
