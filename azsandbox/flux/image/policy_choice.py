"""The policies that an automation goes by, and what it notes of them."""

from __future__ import annotations

from collections.abc import Iterable

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.quoting import quoted
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import selects
from azsandbox.kubernetes.validation.errors import FieldError, invalid

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class InvalidSelector(ValueError):
    """spec.policySelector that cannot be read."""


def chosen(policies: Iterable[Object], selector: Object | None) -> Objects:
    """Policies that a selector chooses (None: all) and that have an image, by name. Raises InvalidSelector."""
    if selector is not None:
        _check(selector)
    found = [
        policy
        for policy in policies
        if (policy.get("status") or {}).get("latestRef")
        and (selector is None or selects(selector, policy["metadata"].get("labels")))
    ]
    return sorted(found, key=lambda policy: str(policy["metadata"]["name"]))


def observed(policies: Objects) -> dict[str, dict[str, str]]:
    """The images of policies by their names, as the status of an automation keeps them."""
    return {
        policy["metadata"]["name"]: {
            key: policy["status"]["latestRef"][key]
            for key in ("name", "tag", "digest")
            if policy["status"]["latestRef"].get(key)
        }
        for policy in policies
    }


def _check(selector: Object) -> None:
    """Raises InvalidSelector in the words of apimachinery's LabelSelectorAsSelector."""
    for key, value in (selector.get("matchLabels") or {}).items():
        _raise(_faults(key, "In", [value]))
    for item in selector.get("matchExpressions") or []:
        if item["operator"] not in _OPERATORS:
            raise InvalidSelector(f"{quoted(item['operator'])} is not a valid label selector operator")
        _raise(_faults(item["key"], item["operator"], item.get("values") or []))


def _faults(key: str, operator: str, values: list[str]) -> list[FieldError]:
    found = []
    if words := formats.qualified_name(key):
        found.append(invalid("key", key, "; ".join(words)))
    if operator in ("In", "NotIn") and not values:
        found.append(invalid("values", None, "for 'in', 'notin' operators, values set can't be empty"))
    if operator in ("Exists", "DoesNotExist") and values:
        found.append(invalid("values", values, "values set must be empty for exists and does not exist"))
    for index, value in enumerate(values):
        if words := formats.label_value(value):
            found.append(invalid(f"values[{index}][{key}]", value, "; ".join(words)))
    return found


def _raise(faults: list[FieldError]) -> None:
    if faults:
        texts = list(dict.fromkeys(fault.text for fault in faults))
        raise InvalidSelector(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
