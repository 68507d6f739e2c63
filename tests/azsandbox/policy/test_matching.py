"""Which objects a constraint is about."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.policy.matching import Subject, like, matches


def pod(namespace: str = "staging", labels: dict[str, str] | None = None) -> Subject:
    obj = {"metadata": {"name": "web", "namespace": namespace, "labels": labels or {}}}
    space = {"metadata": {"name": namespace, "labels": {"team": "red"}}}
    return Subject("", "Pod", obj, None, space)


NODE = Subject("", "Node", {"metadata": {"name": "n1"}})
NAMESPACE = Subject("", "Namespace", {"metadata": {"name": "staging", "labels": {"team": "red"}}})


@pytest.mark.parametrize(
    ("match", "subject", "about"),
    [
        ({}, pod(), True),
        ({"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}, pod(), True),
        ({"kinds": [{"apiGroups": ["apps"], "kinds": ["Pod"]}]}, pod(), False),
        ({"kinds": [{"apiGroups": ["*"], "kinds": ["*"]}]}, NODE, True),
        ({"kinds": [{"kinds": ["Node", "Pod"]}]}, NODE, True),
        ({"namespaces": ["stag*"]}, pod(), True),
        ({"namespaces": ["production"]}, pod(), False),
        ({"namespaces": ["production"]}, NODE, True),
        ({"namespaces": ["staging"]}, NAMESPACE, True),
        ({"excludedNamespaces": ["*ing"]}, pod(), False),
        ({"excludedNamespaces": ["staging"]}, NAMESPACE, False),
        ({"excludedNamespaces": ["staging"]}, NODE, True),
        ({"scope": "Cluster"}, pod(), False),
        ({"scope": "Cluster"}, NAMESPACE, True),
        ({"scope": "Namespaced"}, NODE, False),
        ({"scope": "cluster"}, pod(), True),
        ({"labelSelector": {"matchLabels": {"tier": "front"}}}, pod(labels={"tier": "front"}), True),
        ({"labelSelector": {"matchLabels": {"tier": "front"}}}, pod(), False),
        ({"namespaceSelector": {"matchLabels": {"team": "red"}}}, pod(), True),
        ({"namespaceSelector": {"matchLabels": {"team": "blue"}}}, NAMESPACE, False),
        ({"namespaceSelector": {"matchLabels": {"team": "blue"}}}, NODE, True),
        ({"name": "we*"}, pod(), True),
        ({"name": "api"}, pod(), False),
        ({"source": "Generated"}, pod(), False),
    ],
)
def test_a_constraint_is_about_what_its_match_says(match: dict[str, Any], subject: Subject, about: bool) -> None:
    assert matches(match, subject) is about


def test_an_object_that_takes_its_label_off_is_judged_still() -> None:
    before, after = pod(labels={"tier": "front"}), pod()
    subject = Subject("", "Pod", after.obj, before.obj, after.namespace)
    assert matches({"labelSelector": {"matchLabels": {"tier": "front"}}}, subject)


@pytest.mark.parametrize(("pattern", "value", "fits"), [("*a*", "bab", True), ("a*", "ab", True), ("a", "ab", False)])
def test_a_star_stands_at_the_ends_of_a_pattern(pattern: str, value: str, fits: bool) -> None:
    assert like(pattern, value) is fits
