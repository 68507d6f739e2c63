"""Warnings of node labels that are on their way out. Source: k8s.io/kubernetes, pkg/api/node/util.go."""

from __future__ import annotations

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats

DEPRECATED = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}


def of_term(term: Object, path: str, check_values: bool = False) -> list[str]:
    """Of a node selector term at `path`; `check_values`: values that no label can have are told as well."""
    found = []
    for place, item in enumerate(term.get("matchExpressions") or []):
        here, key = f"{path}.matchExpressions[{place}]", item.get("key")
        if key in DEPRECATED:
            found.append(f"{here}.key: {key} is {DEPRECATED[key]}")
        for index, value in enumerate((item.get("values") or []) if check_values else []):
            found += [f"{here}.values[{index}]: {value} is invalid, {text}" for text in formats.label_value(value)]
    return found


def of_label_selector(selector: Object | None, path: str) -> list[str]:
    """Of a label selector that chooses nodes."""
    if selector is None:
        return []
    labels = selector.get("matchLabels") or {}
    return of_term(selector, path) + [f"{path}.matchLabels.{k}: {DEPRECATED[k]}" for k in labels if k in DEPRECATED]
