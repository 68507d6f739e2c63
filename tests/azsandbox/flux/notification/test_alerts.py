from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers.client import Object
from azsandbox.flux.notification import alerts
from tests.azsandbox.flux.notification.events import KUSTOMIZE, SHA, event


def alert(**spec: Any) -> Object:
    sources = {"eventSources": [{"kind": "Kustomization", "name": "*"}], "eventSeverity": "info"}
    return {"metadata": {"name": "all", "namespace": "apps"}, "spec": {**sources, **spec}}


async def passes(found: Object, about: Object, labels: dict[str, str] | None = None) -> tuple[bool, list[str]]:
    complaints: list[str] = []

    async def of_object() -> dict[str, str] | None:
        return labels

    async def complain(reason: str, message: str) -> None:
        complaints.append(f"{reason}: {message}")

    return await alerts.passes(about, found, of_object, complain), complaints


@pytest.mark.parametrize(
    ("spec", "changes", "fits"),
    [
        ({}, {}, True),
        ({"suspend": True}, {}, False),
        ({"eventSources": [{"kind": "GitRepository", "name": "*"}]}, {}, False),
        ({"eventSources": [{"kind": "Kustomization", "name": "web"}]}, {}, True),
        ({"eventSources": [{"kind": "Kustomization", "name": "other"}]}, {}, False),
        ({"eventSources": [{"kind": "Kustomization", "name": "*", "namespace": "other"}]}, {}, False),
        ({"eventSeverity": "error"}, {}, False),
        ({"eventSeverity": "error"}, {"severity": "error"}, True),
        ({"inclusionList": [".*created.*"]}, {}, True),
        ({"inclusionList": ["deleted"]}, {}, False),
        ({"exclusionList": ["^ConfigMap/"]}, {}, False),
        ({"exclusionList": ["^/"]}, {}, True),
        ({"inclusionList": ["created"], "exclusionList": ["app"]}, {}, False),
    ],
)
async def test_an_alert_chooses_by_source_severity_and_message(spec: Object, changes: Object, fits: bool) -> None:
    assert await passes(alert(**spec), event(**changes)) == (fits, [])


async def test_a_bad_expression_is_complained_of_and_the_next_one_tried() -> None:
    found = await passes(alert(inclusionList=["(", "created"]), event())
    assert found == (True, ["InvalidConfig: failed to compile inclusion regex: ("])
    found = await passes(alert(exclusionList=["["]), event())
    assert found == (True, ["InvalidConfig: failed to compile exclusion regex: ["])


@pytest.mark.parametrize(
    ("labels", "fits"), [({"team": "web", "more": "yes"}, True), ({"team": "db"}, False), ({}, False), (None, False)]
)
async def test_labels_of_the_object_decide_where_a_source_asks_for_them(
    labels: dict[str, str] | None, fits: bool
) -> None:
    sources = [{"kind": "Kustomization", "name": "*", "matchLabels": {"team": "web"}}]
    assert (await passes(alert(eventSources=sources), event(), labels))[0] is fits


def test_metadata_of_others_and_checksums_are_left_out() -> None:
    given = {
        f"{KUSTOMIZE}/revision": "main@sha1:1",
        f"{KUSTOMIZE}/checksum": "c",
        f"{KUSTOMIZE}/Digest": "d",
        f"{KUSTOMIZE}/token": "t",
        "event.toolkit.fluxcd.io/team": "web",
        "example.com/other": "x",
    }
    found = alerts.cleaned(event(metadata=given))
    assert set(found["metadata"]) == {
        f"{KUSTOMIZE}/revision",
        f"{KUSTOMIZE}/token",
        "event.toolkit.fluxcd.io/team",
    }
    assert f"{KUSTOMIZE}/token" not in alerts.without_token(found)["metadata"]


def test_the_controllers_metadata_win_over_the_alerts_and_these_over_the_objects_annotations() -> None:
    given = {
        f"{KUSTOMIZE}/revision": f"main@sha1:{SHA}",
        "event.toolkit.fluxcd.io/team": "web",
        "event.toolkit.fluxcd.io/summary": "of the object",
    }
    spec = {"eventMetadata": {"team": "platform", "revision": "mine"}, "summary": "of the alert"}
    found, conflicts = alerts.combined(event(metadata=given), alert(**spec))
    assert found["metadata"] == {"team": "platform", "revision": f"main@sha1:{SHA}", "summary": "of the alert"}
    assert conflicts == {
        "revision": "Alert object .spec.eventMetadata, involved object controller metadata",
        "summary": "involved object annotations, Alert object .spec.summary",
        "team": "involved object annotations, Alert object .spec.eventMetadata",
    }
