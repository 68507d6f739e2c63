"""Waiting shows what is known, returns the result, and says the service's own reason for a failure."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import waiting
from labkit.errors import OperationFailed, ReadError
from labkit.gitops import arrival


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HEADLESS", "1")


class FakePoller:
    """A poller that needs so many looks, and then has a result or an error."""

    def __init__(self, looks: int, result: Any = "made", percent: float | None = None, method: Any = None) -> None:
        self._looks, self._result, self._percent, self._method = looks, result, percent, method
        self.waited: list[float | None] = []

    def done(self) -> bool:
        self._looks -= 1
        return self._looks < 0

    def wait(self, timeout: float | None = None) -> None:
        self.waited.append(timeout)

    def status(self) -> str:
        return "Succeeded" if self._looks < 0 else "InProgress"

    def result(self) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def polling_method(self) -> Any:
        if self._method is not None:
            return self._method
        body = json.dumps({"status": "InProgress", "percentComplete": self._percent})
        response = SimpleNamespace(json=lambda: json.loads(body))
        request = SimpleNamespace(method="PUT", url="https://management.azure.com/the/aks?api-version=2026-08-01")
        return SimpleNamespace(
            _pipeline_response=SimpleNamespace(http_response=response),
            _initial_response=SimpleNamespace(http_response=SimpleNamespace(request=request)),
        )


class FakeArm:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def get(self, path: str, api_version: str) -> dict[str, Any]:
        self.asked.append((path, api_version))
        state = "Creating" if len(self.asked) < 3 else "Succeeded"
        pools = [{"name": "system1", "provisioningState": state}, {"name": "user1", "provisioningState": "Creating"}]
        return {"name": "aks", "properties": {"provisioningState": "Creating", "agentPoolProfiles": pools}}

    def pages(self, path: str, api_version: str) -> Any:
        raise AssertionError


def test_the_result_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert waiting.for_operation(FakePoller(2), "Creating", look=0.01) == "made"
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Creating: InProgress, 0 s", "Creating: done after 0 s (Succeeded)"]


def test_the_end_of_an_operation_is_waited_for_and_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(waiting.time, "sleep", slept.append)
    poller = FakePoller(4)
    waiting.for_operation(poller, "Creating", look=0.2)
    assert (slept, poller.waited) == ([], [0.05, 0.1, 0.2, 0.2])


def test_an_operation_that_fails_while_it_is_waited_for_is_told_by_its_result() -> None:
    class Failing(FakePoller):
        def wait(self, timeout: float | None = None) -> None:
            raise RuntimeError("OutOfCapacity")

    with pytest.raises(OperationFailed, match="Creating: OutOfCapacity"):
        waiting.for_operation(Failing(2, RuntimeError("OutOfCapacity")), "Creating")


def test_a_percentage_is_shown_where_the_service_reports_one(capsys: pytest.CaptureFixture[str]) -> None:
    waiting.for_operation(FakePoller(2, percent=40), "Creating", look=0.01)
    assert "40%" in capsys.readouterr().out


def test_the_states_of_cluster_and_pools_are_shown_as_they_were_seen(capsys: pytest.CaptureFixture[str]) -> None:
    arm = FakeArm()
    waiting.for_operation(FakePoller(6), "Creating", arm=arm, look=0.2)
    out = capsys.readouterr().out
    assert "aks Creating, pool system1 Creating, pool user1 Creating" in out
    assert "33%" in out  # one of three is ready
    assert set(arm.asked) == {("/the/aks", "2026-08-01")}


def test_a_resource_that_goes_away_is_said_to_be_gone() -> None:
    class Gone(FakeArm):
        def get(self, path: str, api_version: str) -> dict[str, Any]:
            raise ReadError("404", 404)

    assert waiting._states(Gone(), ("/the/aks", "v")) == {"aks": "not there"}


def test_a_failure_carries_the_services_own_code_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    from azure.core.exceptions import HttpResponseError

    error = HttpResponseError(message="Operation failed\nand again")
    error.error = SimpleNamespace(code="QuotaExceeded", message="cores needed: 8")  # type: ignore[assignment]
    with pytest.raises(OperationFailed, match="Creating: QuotaExceeded: cores needed: 8"):
        waiting.for_operation(FakePoller(0, error), "Creating")
    assert "failed after 0 s (QuotaExceeded: cores needed: 8)" in capsys.readouterr().out


def test_when_the_endpoint_goes_away_it_is_revived_and_the_operation_followed_on() -> None:
    from azure.core.exceptions import ServiceRequestError

    runs: list[str] = []
    method = SimpleNamespace(run=lambda: runs.append("run"), status=lambda: "Succeeded", resource=lambda: "made")
    poller = FakePoller(0, ServiceRequestError("refused"), method=method)
    revived: list[str] = []
    assert waiting.for_operation(poller, "Creating", revive=lambda: revived.append("up")) == "made"
    assert (revived, runs) == (["up"], ["run"])


def test_an_endpoint_that_stays_away_is_a_failure() -> None:
    from azure.core.exceptions import ServiceRequestError

    def refuse() -> None:
        raise ServiceRequestError("refused")

    method = SimpleNamespace(run=refuse, status=lambda: "InProgress", resource=lambda: None)
    poller = FakePoller(0, ServiceRequestError("refused"), method=method)
    with pytest.raises(OperationFailed, match="refused"):
        waiting.for_operation(poller, "Creating", revive=lambda: None)


def test_a_question_is_asked_until_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    answers: list[Any] = [False, "1 of 2 ready", True]
    waiting.until(lambda: answers.pop(0), "Pods", every=0.001)
    assert answers == []
    assert "1 of 2 ready" in capsys.readouterr().out


def test_a_question_is_asked_often_at_first_and_seldom_after_a_long_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    asked: list[float] = []

    def question() -> bool:
        asked.append(now[0])
        return now[0] >= 1200

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    waiting.until(question, "A role", timeout=1800)
    pauses = [round(later - sooner, 6) for sooner, later in itertools.pairwise(asked)]
    assert (pauses[0], pauses == sorted(pauses)) == (0.05, True)
    assert sum(moment <= 1 for moment in asked) >= 10
    assert pauses[len([m for m in asked if m <= 10])] == 0.5
    assert 10 < pauses[-1] < 13


def test_a_question_that_never_holds_ends_with_its_last_words() -> None:
    with pytest.raises(OperationFailed, match="last seen: 1 of 2 ready"):
        waiting.until(lambda: "1 of 2 ready", "Pods", timeout=0.01, every=0.001)


def test_a_question_that_nobody_answers_is_asked_again_when_the_endpoint_was_revived() -> None:
    answers: list[Any] = [ReadError("connection refused", 0), True]
    revived: list[str] = []

    def question() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    waiting.until(question, "Pods", every=0.001, revive=lambda: revived.append("up"))
    assert (answers, revived) == ([], ["up"])
    answers.append(ReadError("no", 403))
    with pytest.raises(ReadError):
        waiting.until(question, "Pods", revive=lambda: None)


def test_a_question_says_what_to_type_when_it_never_holds() -> None:
    question = arrival.Question(lambda: {"GitRepository": [], "Kustomization": []}, "c" * 40, "flux-system")
    with pytest.raises(OperationFailed, match=r"there is no GitRepository flux-system\. Next: labkit check gitops"):
        waiting.until(question, "Arriving", timeout=0.01, every=0.001)


def test_an_operation_that_does_not_end_is_left_with_what_was_expected_and_found() -> None:
    """A configuration without an agent was followed for ever."""
    poller = FakePoller(10**9)
    said = r"Following: expected to be done within 0 s; found .*pool user1 Creating.* Next: labkit status"
    with pytest.raises(OperationFailed, match=said):
        waiting.for_operation(poller, "Following", arm=FakeArm(), timeout=0.02)
