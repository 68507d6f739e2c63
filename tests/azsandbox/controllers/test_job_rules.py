"""Indexes, policies and waits of Jobs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from azsandbox.controllers import job_indexes, job_policies


@pytest.mark.parametrize(
    ("indexes", "text"),
    [(set(), ""), ({3}, "3"), ({1, 2}, "1,2"), ({0, 1, 2, 5}, "0-2,5"), ({1, 3, 4, 5, 7, 8}, "1,3-5,7,8")],
)
def test_indexes_are_written_as_runs(indexes: set[int], text: str) -> None:
    assert job_indexes.text_of(indexes) == text
    assert job_indexes.parse(text, 10) == indexes


def test_indexes_beyond_the_completions_are_left_out() -> None:
    assert job_indexes.parse("0-9", 3) == {0, 1, 2}


def failed(code: int, **conditions: str) -> dict[str, Any]:
    container = {"name": "app", "state": {"terminated": {"exitCode": code}}}
    listed = [{"type": kind, "status": status} for kind, status in conditions.items()]
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {},
        "status": {"containerStatuses": [container], "conditions": listed},
    }


def test_the_first_rule_that_matches_decides() -> None:
    ignore = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    fail = {"action": "FailJob", "onExitCodes": {"containerName": "app", "operator": "In", "values": [42]}}
    policy = {"rules": [ignore, fail]}
    message = "Container app for pod n/p failed with exit code 42 matching FailJob rule at index 1"
    assert job_policies.failure_action(policy, failed(42)) == ("FailJob", message)
    assert job_policies.failure_action(policy, failed(42, DisruptionTarget="True"))[0] == "Ignore"
    assert job_policies.failure_action(policy, failed(1)) == ("", "")


def test_exit_code_0_matches_no_rule() -> None:
    rule = {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [7]}}
    assert job_policies.failure_action({"rules": [rule]}, failed(0)) == ("", "")


def test_a_success_policy_is_met_by_indexes_or_by_their_number() -> None:
    policy = {"rules": [{"succeededIndexes": "0-1"}, {"succeededCount": 3}]}
    assert job_policies.success_message(policy, 5, {0}) == ""
    assert job_policies.success_message(policy, 5, {0, 1}) == "Matched rules at index 0"
    assert job_policies.success_message(policy, 5, {2, 3, 4}) == "Matched rules at index 1"


def test_the_wait_doubles_with_every_failure_up_to_ten_minutes() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert [job_policies.remaining_backoff(n, now, now) for n in (0, 1, 2, 3, 30)] == [0, 10, 20, 40, 600]
    assert job_policies.remaining_backoff(1, now - dt.timedelta(seconds=11), now) == 0
