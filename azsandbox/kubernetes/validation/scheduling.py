"""Validation of what decides on the node of a pod: affinities, tolerations, spread constraints, node selectors."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import formatted, label_selector, positive, supported
from azsandbox.kubernetes.validation.errors import (
    DUPLICATE,
    Errors,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_IN_AND_NOT_IN = "must be specified when `operator` is 'In' or 'NotIn'"
_EXISTS = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
_BAD_OPERATOR = "not a valid selector operator"


def affinity(item: Object | None, path: str) -> Errors:
    """Node affinity, pod affinity and pod anti-affinity."""
    if not item:
        return []
    found: Errors = []
    node = item.get("nodeAffinity")
    if node is not None:
        if node.get(_REQUIRED) is not None:
            found += node_selector(node[_REQUIRED], f"{path}.nodeAffinity.{_REQUIRED}")
        for index, term in enumerate(node.get(_PREFERRED) or []):
            here = f"{path}.nodeAffinity.{_PREFERRED}[{index}]"
            found += _weight(term, here)
            found += node_selector_term(term.get("preference") or {}, f"{here}.preference", check_values=False)
    for key in ("podAffinity", "podAntiAffinity"):
        part = item.get(key) or {}
        for index, term in enumerate(part.get(_REQUIRED) or []):
            found += _pod_term(term, f"{path}.{key}.{_REQUIRED}[{index}]")
        for index, term in enumerate(part.get(_PREFERRED) or []):
            here = f"{path}.{key}.{_PREFERRED}[{index}]"
            found += _weight(term, here) + _pod_term(term.get("podAffinityTerm") or {}, f"{here}.podAffinityTerm")
    return found


def _weight(term: Object, path: str) -> Errors:
    weight = term.get("weight") or 0
    return [] if 0 < weight <= 100 else [invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def node_selector(selector: Object, path: str) -> Errors:
    """Terms of which one must match a node."""
    here = f"{path}.nodeSelectorTerms"
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        return [required(here, "must have at least one node selector term")]
    found: Errors = []
    for index, term in enumerate(terms):
        found += node_selector_term(term, f"{here}[{index}]")
    return found


def node_selector_term(term: Object, path: str, *, check_values: bool = True) -> Errors:
    found: Errors = []
    for index, item in enumerate(term.get("matchExpressions") or []):
        found += _node_requirement(item, f"{path}.matchExpressions[{index}]", check_values)
    for index, item in enumerate(term.get("matchFields") or []):
        found += _field_requirement(item, f"{path}.matchFields[{index}]")
    return found


def _node_requirement(item: Object, path: str, check_values: bool) -> Errors:
    found: Errors = []
    operator, values = item.get("operator") or "", item.get("values") or []
    if operator in ("In", "NotIn"):
        found += [] if values else [required(f"{path}.values", _IN_AND_NOT_IN)]
    elif operator in ("Exists", "DoesNotExist"):
        found += [forbidden(f"{path}.values", _EXISTS)] if values else []
    elif operator in ("Gt", "Lt"):
        text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        found += [] if len(values) == 1 else [required(f"{path}.values", text)]
    else:
        found.append(invalid(f"{path}.operator", operator, _BAD_OPERATOR))
    found += formatted(item.get("key") or "", f"{path}.key", formats.qualified_name)
    for index, value in enumerate(values if check_values else ()):
        found += formatted(value, f"{path}.values[{index}]", formats.label_value)
    return found


def _field_requirement(item: Object, path: str) -> Errors:
    found: Errors = []
    operator, values, key = item.get("operator") or "", item.get("values") or [], item.get("key") or ""
    if operator in ("In", "NotIn"):
        text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found += [] if len(values) == 1 else [required(f"{path}.values", text)]
    else:
        found.append(invalid(f"{path}.operator", operator, _BAD_OPERATOR))
    if key != "metadata.name":
        return [*found, invalid(f"{path}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        found += formatted(value, f"{path}.values[{index}]", formats.dns_subdomain)
    return found


def _pod_term(term: Object, path: str) -> Errors:
    found = label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    found += label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or []:
        found += formatted(name, f"{path}.namespace", formats.dns_label)
    found += label_keys(term, path)
    key = term.get("topologyKey") or ""
    if not key:
        found.append(required(f"{path}.topologyKey", "can not be empty"))
    return found + formatted(key, f"{path}.topologyKey", formats.qualified_name)


def label_keys(term: Object, path: str) -> Errors:
    """matchLabelKeys and mismatchLabelKeys: label keys that go with a selector, each in one of them."""
    found: Errors = []
    selector = term.get("labelSelector")
    match, mismatch = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            found.append(forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set"))
            continue
        for index, key in enumerate(keys):
            found += formatted(key, f"{path}.{name}[{index}]", formats.qualified_name)
    if selector is not None and match:
        places = {key: index for index, key in enumerate(match)}
        seen = set(selector.get("matchLabels") or {})
        for item in selector.get("matchExpressions") or []:
            key = item.get("key") or ""
            if key in places and key in seen:
                text = "exists in both matchLabelKeys and labelSelector"
                found.append(invalid(f"{path}[{places[key]}]", key, text))
            seen.add(key)
    for index, key in enumerate(match):
        if key in mismatch:
            text = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.append(invalid(f"{path}.matchLabelKeys[{index}]", key, text))
    return found


def tolerations(items: list[Object] | None, path: str) -> Errors:
    found: Errors = []
    for index, item in enumerate(items or []):
        found += _toleration(item, f"{path}[{index}]")
    return found


def _toleration(item: Object, path: str) -> Errors:
    found: Errors = []
    key, operator, value = item.get("key") or "", item.get("operator") or "", item.get("value") or ""
    effect = item.get("effect") or ""
    if key:
        found += formatted(key, f"{path}.key", formats.qualified_name)
    elif operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        found.append(invalid(f"{path}.operator", operator, text))
    if item.get("tolerationSeconds") is not None and effect != "NoExecute":
        text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        found.append(invalid(f"{path}.effect", effect, text))
    if operator in ("Equal", ""):
        faults = formats.label_value(value)
        found += [invalid(f"{path}.operator", value, ";".join(faults))] if faults else []
    elif operator == "Exists":
        text = "value must be empty when `operator` is 'Exists'"
        found += [invalid(f"{path}.operator", value, text)] if value else []
    else:
        known = ("Equal", "Exists", "Lt", "Gt") if operator in ("Lt", "Gt") else ("Equal", "Exists")
        found.append(not_supported(f"{path}.operator", operator, known))
    if effect and effect not in _EFFECTS:
        found.append(not_supported(f"{path}.effect", effect, _EFFECTS))
    return found


def taints(items: list[Object] | None, path: str) -> Errors:
    """Taints of a node."""
    found: Errors = []
    unique: set[tuple[str, str]] = set()
    for index, item in enumerate(items or []):
        here, key, effect = f"{path}[{index}]", item.get("key") or "", item.get("effect") or ""
        found += formatted(key, f"{here}.key", formats.qualified_name)
        faults = formats.label_value(item.get("value") or "")
        found += [invalid(f"{here}.value", item.get("value"), ";".join(faults))] if faults else []
        if not effect:
            found.append(required(f"{here}.effect"))
        elif effect not in _EFFECTS:
            found.append(not_supported(f"{here}.effect", effect, _EFFECTS))
        if (key, effect) in unique:
            text = "taints must be unique by key and effect pair"
            found.append(FieldError(DUPLICATE, here, internal.shown(item, "core.Taint"), text))
        unique.add((key, effect))
    return found


def spread_constraints(items: list[Object] | None, path: str) -> Errors:
    found: Errors = []
    for index, item in enumerate(items or []):
        here, action = f"{path}[{index}]", item.get("whenUnsatisfiable") or ""
        found += positive(item.get("maxSkew") or 0, f"{here}.maxSkew")
        if not item.get("topologyKey"):
            found.append(required(f"{here}.topologyKey", "can not be empty"))
        found += supported(action, f"{here}.whenUnsatisfiable", ("DoNotSchedule", "ScheduleAnyway"))
        pair = (item.get("topologyKey"), action)
        if any(
            (other.get("topologyKey"), other.get("whenUnsatisfiable")) == pair for other in (items or [])[index + 1 :]
        ):
            shown = f"{{{pair[0]}, {pair[1]}}}"
            found.append(duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", shown))
        found += _min_domains(item.get("minDomains"), action, f"{here}.minDomains")
        for key in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if item.get(key) is not None:
                found += supported(item[key], f"{here}.{key}", ("Honor", "Ignore"))
        found += label_keys(item, here)
        found += label_selector(item.get("labelSelector"), f"{here}.labelSelector")
    return found


def _min_domains(value: Any, action: str, path: str) -> Errors:
    if value is None:
        return []
    found = positive(value, path)
    if action != "DoNotSchedule":
        text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        found.append(invalid(path, value, text))
    return found
