"""Fields behind feature gates that are off."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.dropped_fields import drop


def stateful_set(**rolling: Any) -> dict[str, Any]:
    return {"spec": {"updateStrategy": {"rollingUpdate": rolling}}}


def test_a_field_whose_gate_is_off_is_dropped() -> None:
    new = stateful_set(partition=0, maxUnavailable=2)
    drop("apps", "StatefulSet", new, None)
    assert new == stateful_set(partition=0)


def test_a_field_that_is_in_use_stays() -> None:
    new = stateful_set(maxUnavailable=2)
    drop("apps", "StatefulSet", new, stateful_set(maxUnavailable=1))
    assert new == stateful_set(maxUnavailable=2)


def test_every_container_of_a_template_is_searched() -> None:
    lifecycle = {"stopSignal": "SIGUSR1", "preStop": {}}
    pod = {"containers": [{"name": "a", "lifecycle": dict(lifecycle)}], "initContainers": [{"lifecycle": lifecycle}]}
    drop("apps", "Deployment", {"spec": {"template": {"spec": pod}}}, None)
    assert pod["containers"][0]["lifecycle"] == {"preStop": {}}
    assert pod["initContainers"][0]["lifecycle"] == {"preStop": {}}
