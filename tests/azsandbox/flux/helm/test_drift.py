"""Drift, seen and set right."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import Object, path
from azsandbox.flux import json_diff
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, Lab

URL = path("v1", "configmaps", NAMESPACE, "web")
CHANGED = "ConfigMap/apps/web changed (0 additions, 1 changes, 0 removals)"
DRIFTED = "Cluster state of release apps/web.v1 has drifted from the desired state:\n"


async def repaint(lab: Lab) -> None:
    await lab.client.patch(URL, {"data": {"colour": "red"}})
    await lab.ask(request="1")


async def test_a_changed_object_is_set_right_where_drift_is_to_be_corrected(lab: Lab) -> None:
    await lab.installed(CHART, driftDetection={"mode": "enabled"})
    assert (await lab.condition("Drifted"))["message"] == "No drift detected against the cluster state"
    await repaint(lab)
    assert (await lab.data() or {})["colour"] == "blue"
    status = await lab.is_so("Drifted", "NoDriftDetected", 1)
    assert {c["type"]: c["reason"] for c in status["conditions"]} == {
        "Ready": "InstallSucceeded",
        "Drifted": "NoDriftDetected",
        "Released": "InstallSucceeded",
    }
    assert lab.told("DriftDetected")[0]["message"] == DRIFTED + CHANGED
    assert lab.told("DriftCorrected")[0]["message"] == (
        "Cluster state of release apps/web.v1 has been corrected:\nConfigMap/apps/web configured"
    )


async def test_a_deleted_object_is_created_again_where_drift_is_to_be_corrected(lab: Lab) -> None:
    await lab.installed(CHART, driftDetection={"mode": "enabled"})
    await lab.client.delete(URL)
    await lab.ask(request="1")
    assert (await lab.data() or {})["colour"] == "blue"
    assert lab.told("DriftDetected")[0]["message"] == f"{DRIFTED}ConfigMap/apps/web removed"
    assert lab.told("DriftCorrected")[0]["message"].endswith("ConfigMap/apps/web created")


async def test_drift_is_told_of_and_left_where_it_is_only_to_be_warned_of(lab: Lab) -> None:
    await lab.installed(CHART, driftDetection={"mode": "warn"})
    await repaint(lab)
    assert (await lab.data() or {})["colour"] == "red"
    assert (await lab.condition("Drifted"))["message"] == DRIFTED + CHANGED
    assert (await lab.condition("Ready"))["status"] == "True"


async def test_drift_is_not_looked_for_unless_that_is_asked_for(lab: Lab) -> None:
    await lab.installed(CHART)
    await repaint(lab)
    assert (await lab.data() or {})["colour"] == "red"
    assert await lab.condition("Drifted") == {}


async def test_what_is_to_be_ignored_is_no_drift(lab: Lab) -> None:
    rules: list[Object] = [{"paths": ["/data/colour"], "target": {"kind": "ConfigMap"}}]
    await lab.installed(CHART, driftDetection={"mode": "enabled", "ignore": rules})
    await repaint(lab)
    assert (await lab.data() or {})["colour"] == "red"
    assert lab.told("DriftDetected") == []


async def test_an_object_that_says_so_is_left_out(lab: Lab) -> None:
    await lab.installed(CHART, driftDetection={"mode": "enabled"})
    disabled: dict[str, Any] = {"metadata": {"annotations": {"helm.toolkit.fluxcd.io/driftDetection": "disabled"}}}
    await lab.client.patch(URL, disabled)
    await repaint(lab)
    assert (await lab.data() or {})["colour"] == "red"


def test_a_difference_is_as_few_operations_as_say_it() -> None:
    rest = {"rest": "long" * 99}
    old = {"spec": {"replicas": 1, "list": [1, 2, 3]}, "gone": 1, **rest}
    new = {"spec": {"replicas": 2, "list": [1, 5]}, "a/b": {}, **rest}
    assert json_diff.compare(old, new) == [
        {"op": "add", "path": "/a~1b", "value": {}},
        {"op": "remove", "path": "/gone"},
        {"op": "replace", "path": "/spec", "value": {"list": [1, 5], "replicas": 2}},
    ]
    assert json_diff.compare({"a": {"replicas": 1}}, {"a": {"replicas": 2}}) == [
        {"op": "replace", "path": "/a/replicas", "value": 2}
    ]
    assert json_diff.compare({"a": 1}, {"a": 1.0}) == []
    assert json_diff.compare({"a": [1]}, {"a": [1, {"b": "c" * 99}]}) == [
        {"op": "add", "path": "/a/-", "value": {"b": "c" * 99}}
    ]
