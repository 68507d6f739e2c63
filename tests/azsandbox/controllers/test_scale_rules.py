"""How far and how fast an autoscaler may go."""

from __future__ import annotations

import datetime as dt
from typing import Any

from azsandbox.controllers import scale_metrics, scale_rules
from azsandbox.controllers.scale_metrics import Sample, Tolerances
from azsandbox.controllers.scale_rules import Memory

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def hpa(**spec: Any) -> dict[str, Any]:
    return {"spec": {"minReplicas": 1, "maxReplicas": 10, **spec}}


def test_without_behavior_it_at_most_doubles() -> None:
    verdict = scale_rules.normalize(hpa(maxReplicas=100), Memory(), 5, 50, NOW)
    assert (verdict.replicas, verdict.limited, verdict.limit[0]) == (10, True, "ScaleUpLimit")


def test_it_shrinks_only_when_five_minutes_agree() -> None:
    memory = Memory([(NOW - dt.timedelta(seconds=60), 8)])
    verdict = scale_rules.normalize(hpa(), memory, 8, 2, NOW)
    assert (verdict.replicas, verdict.able[0]) == (8, "ScaleDownStabilized")
    later = NOW + dt.timedelta(seconds=600)
    assert scale_rules.normalize(hpa(), memory, 8, 2, later).replicas == 2


def test_it_never_goes_beyond_its_bounds() -> None:
    assert scale_rules.normalize(hpa(maxReplicas=3), Memory(), 3, 9, NOW).limit[0] == "TooManyReplicas"
    assert scale_rules.normalize(hpa(minReplicas=2), Memory(), 2, 1, NOW).limit[0] == "TooFewReplicas"


def test_policies_set_the_pace() -> None:
    up = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}], "selectPolicy": "Max"}
    memory = Memory(ups=[(NOW - dt.timedelta(seconds=10), 1)])
    verdict = scale_rules.normalize(hpa(behavior={"scaleUp": up, "scaleDown": {}}), memory, 5, 9, NOW)
    assert verdict.replicas == 6  # one of the two was used in this minute


def pod(name: str, request: str = "100m") -> dict[str, Any]:
    hour = (NOW - dt.timedelta(hours=1)).isoformat()
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": hour}
    containers = [{"name": "app", "resources": {"requests": {"cpu": request}}}]
    return {
        "metadata": {"name": name},
        "spec": {"containers": containers},
        "status": {"phase": "Running", "startTime": hour, "conditions": [ready]},
    }


def test_utilization_is_a_share_of_the_requests() -> None:
    pods = [pod("a"), pod("b")]
    samples = {name: Sample(140, NOW, dt.timedelta(seconds=30)) for name in ("a", "b")}
    assert scale_metrics.utilization(pods, samples, 2, 70, Tolerances(), "cpu", "", NOW) == (4, 140, 140)


def test_within_a_tenth_of_the_target_nothing_changes() -> None:
    samples = {"a": Sample(75, NOW, dt.timedelta(seconds=30))}
    assert scale_metrics.utilization([pod("a")], samples, 1, 70, Tolerances(), "cpu", "", NOW)[0] == 1


def test_pods_without_metrics_count_as_idle_when_growing() -> None:
    samples = {"a": Sample(150, NOW, dt.timedelta(seconds=30))}
    replicas, share, _ = scale_metrics.utilization([pod("a"), pod("b")], samples, 2, 70, Tolerances(), "cpu", "", NOW)
    assert (replicas, share) == (2, 150)  # 75 % over both pods is within tolerance


def test_the_window_of_a_sample_is_a_go_duration() -> None:
    assert scale_metrics.duration("1m30.5s") == dt.timedelta(seconds=90.5)
