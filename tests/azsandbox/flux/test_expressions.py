from __future__ import annotations

import pytest

from azsandbox.controllers.client import Object
from azsandbox.flux.expressions import BadExpression, FailedExpression, HealthChecks, dependency_is_ready
from azsandbox.flux.kstatus import Status

CHECK = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "current": "status.phase == 'Done'",
    "failed": "status.phase == 'Broken'",
}


def widget(phase: str, observed: int = 1) -> Object:
    status = {"phase": phase, "observedGeneration": observed}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"generation": 1}, "status": status}


def test_an_expression_says_how_far_a_kind_of_ones_own_has_come() -> None:
    rule = HealthChecks([CHECK]).rule("example.com", "Widget")
    assert rule is not None
    assert rule(widget("Done")).status == Status.CURRENT
    assert rule(widget("Broken")).status == Status.FAILED
    assert rule(widget("Halfway")).status == Status.IN_PROGRESS
    assert rule(widget("Done", observed=0)).status == Status.IN_PROGRESS
    with pytest.raises(FailedExpression, match=r"failed to evaluate the CEL expression .*no such attribute.*status"):
        rule({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {}})


def test_a_check_without_a_kind_holds_for_the_group() -> None:
    checks = HealthChecks([{**CHECK, "kind": ""}])
    assert checks.rule("example.com", "Gadget") is not None
    assert checks.rule("example.org", "Gadget") is None


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([CHECK, CHECK], "duplicate custom health check for GroupKind Widget.example.com at healthchecks\\[1\\]"),
        ([{**CHECK, "current": ""}], "healthchecks\\[0\\]: expression Current not specified"),
        ([{**CHECK, "failed": "a b"}], "failed to parse the expression Failed: failed to parse the CEL expression"),
    ],
)
def test_checks_that_cannot_be_are_refused(checks: list[Object], words: str) -> None:
    with pytest.raises(BadExpression, match=words):
        HealthChecks(checks)


def test_a_dependency_is_ready_when_its_expression_holds() -> None:
    own, other = {"spec": {"version": "1"}}, {"metadata": {"name": "base"}, "status": {"version": "1"}}
    assert dependency_is_ready("dep.status.version == self.spec.version", own, other)
    assert not dependency_is_ready("dep.status.version == '2'", own, other)
    with pytest.raises(BadExpression, match="failed to evaluate dependency base: failed to parse the CEL expression"):
        dependency_is_ready("nothing.x", own, other)
