"""Whether nodes match selectors and pods tolerate taints.

Rules: k8s.io/component-helpers, packages scheduling/corev1 and scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from azsandbox.controllers.client import Object

NO_SCHEDULE = ("NoSchedule", "NoExecute")


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether one toleration bears one taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if not toleration.get("key"):
        return False
    return operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerated(tolerations: Iterable[Object], taint: Object) -> bool:
    """Whether any toleration bears the taint."""
    return any(tolerates(toleration, taint) for toleration in tolerations)


def untolerated(tolerations: Sequence[Object], taints: Iterable[Object], effects: Sequence[str]) -> Object | None:
    """The first taint of one of `effects` that is not tolerated."""
    return next((t for t in taints if t.get("effect") in effects and not tolerated(tolerations, t)), None)


def requirement_matches(requirement: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels meet one requirement of a node selector term."""
    key, operator = requirement["key"], requirement["operator"]
    values: list[str] = requirement.get("values") or []
    if operator == "In":
        return labels.get(key) in values if key in labels else False
    if operator == "NotIn":
        return labels.get(key) not in values if key in labels else True
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    try:
        found, bound = int(labels[key]), int(values[0])
    except (KeyError, ValueError, IndexError):
        return False
    return found > bound if operator == "Gt" else found < bound


def term_matches(term: Object, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node meets a node selector term; an empty term matches none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(requirement_matches(r, labels) for r in expressions) and all(
        requirement_matches(r, {"metadata.name": name}) for r in fields
    )


def selector_matches(selector: Object | None, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node meets a NodeSelector, of which any term suffices."""
    return any(term_matches(term, labels, name) for term in (selector or {}).get("nodeSelectorTerms") or ())


def required_node_affinity(spec: Object) -> Object | None:
    """The NodeSelector that a pod requires."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    found: Object | None = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return found


def node_matches_pod(spec: Object, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node meets a pod's nodeSelector and required node affinity."""
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return False
    required = required_node_affinity(spec)
    return required is None or selector_matches(required, labels, name)


def names_allowed(spec: Object) -> tuple[set[str] | None, bool]:
    """Node names that the required affinity narrows the choice to (None: all), and whether it contradicts itself."""
    required = required_node_affinity(spec)
    terms = (required or {}).get("nodeSelectorTerms") or ()
    names: set[str] | None = None
    for term in terms:
        of_term: set[str] | None = None
        for requirement in term.get("matchFields") or ():
            if requirement["key"] == "metadata.name" and requirement["operator"] == "In":
                values = set(requirement.get("values") or ())
                of_term = values if of_term is None else of_term & values
        if of_term is None:
            return None, False
        names = of_term if names is None else names | of_term
    return (names or None), names is not None and not names
