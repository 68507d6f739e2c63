"""What a rule covers of another, by which nobody grants more than they have."""

from __future__ import annotations

import pytest

from azsandbox.kubernetes.escalation import broken_down, covers
from azsandbox.kubernetes.request import Object

READS_PODS: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


def test_a_rule_breaks_down_into_one_part_for_each_group_resource_verb_and_name() -> None:
    rule = {"apiGroups": ["", "apps"], "resources": ["a", "b"], "verbs": ["get", "list"], "resourceNames": ["x", "y"]}
    parts = list(broken_down(rule))
    assert len(parts) == 16
    assert parts[0] == {"apiGroups": [""], "resources": ["a"], "verbs": ["get"], "resourceNames": ["x"]}
    assert list(broken_down({"nonResourceURLs": ["/metrics"], "verbs": ["get"]})) == [
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    ]


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        (READS_PODS, {**READS_PODS, "verbs": ["get"]}, True),
        (READS_PODS, {**READS_PODS, "verbs": ["delete"]}, False),
        (READS_PODS, {**READS_PODS, "resourceNames": ["one"], "verbs": ["get"]}, True),
        ({**READS_PODS, "resourceNames": ["one"]}, {**READS_PODS, "verbs": ["get"]}, False),
        ({**READS_PODS, "resourceNames": ["one"]}, {**READS_PODS, "resourceNames": ["two"]}, False),
        ({**READS_PODS, "resources": ["*/log"]}, {**READS_PODS, "resources": ["pods/log"]}, True),
        ({**READS_PODS, "resources": ["pods"]}, {**READS_PODS, "resources": ["pods/log"]}, False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {**READS_PODS, "verbs": ["escalate"]}, True),
        (
            {"nonResourceURLs": ["/metrics/*"], "verbs": ["get"]},
            {"nonResourceURLs": ["/metrics/x"], "verbs": ["get"]},
            True,
        ),
        (
            {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
            {"nonResourceURLs": ["/metrics/x"], "verbs": ["get"]},
            False,
        ),
    ],
)
def test_a_rule_covers_what_it_holds_all_of(held: Object, asked: Object, expected: bool) -> None:
    assert covers(held, asked) is expected
