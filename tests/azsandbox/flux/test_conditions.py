from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.flux import conditions


def test_conditions_stand_in_the_order_that_readers_look_for_and_keep_their_time_when_nothing_changes() -> None:
    obj: Object = {"metadata": {"generation": 1}}
    conditions.mark(obj, "ArtifactInStorage", "True", "Succeeded", "stored")
    conditions.mark(obj, "Ready", "True", "Succeeded", "stored")
    obj["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    obj["metadata"]["generation"] = 2
    conditions.mark(obj, "Ready", "True", "Succeeded", "stored")
    conditions.mark_reconciling(obj, "Progressing", "on it")
    assert [c["type"] for c in obj["status"]["conditions"]] == ["Reconciling", "Ready", "ArtifactInStorage"]
    ready = conditions.find(obj, "Ready")
    assert ready is not None
    assert (ready["lastTransitionTime"], ready["observedGeneration"]) == ("2026-01-01T00:00:00Z", 2)
    conditions.mark_stalled(obj, "InvalidURL", "no")
    assert conditions.find(obj, "Reconciling") is None and conditions.is_true(obj, "Stalled")
