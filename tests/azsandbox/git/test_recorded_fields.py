"""Answers and payloads have every field that GitHub's were recorded with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.azsandbox.git.conftest import Served
from tests.azsandbox.git.test_hooks import eventually

R = "/repos/contoso/gitops"
RECORDED = json.loads((Path(__file__).parent / "recorded_fields.json").read_text("utf-8"))
PLAIN = {
    "required_status_checks": None,
    "enforce_admins": False,
    "required_pull_request_reviews": None,
    "restrictions": None,
}


def fields(value: Any, before: str = "") -> set[str]:
    """The names of all fields, those of lists by their first entry."""
    if isinstance(value, dict):
        inner = (fields(item, f"{before}{name}.") for name, item in value.items())
        return {before + name for name in value}.union(*inner)
    return fields(value[0], f"{before}[].") if isinstance(value, list) and value else set()


def answers(served: Served) -> dict[str, Any]:
    """One of each shape."""
    api = served.api()
    found = {"repository": api.post("/orgs/contoso/repos", json={"name": "gitops"}).json()}
    hook = api.post(
        R + "/hooks", json={"config": {"url": "http://127.0.0.1:1/", "content_type": "json"}, "events": ["*"]}
    )
    found["file written"] = api.put(R + "/contents/a", json={"message": "m", "content": ""}).json()
    sha = found["file written"]["commit"]["sha"]
    body = {"state": "failure", "context": "a", "description": "d", "target_url": "https://example.com"}
    found["status"] = api.post(f"{R}/statuses/{sha}", json=body).json()
    found["combined status"] = api.get(f"{R}/commits/{sha}/status").json()
    found["references"] = api.get(R + "/git/refs").json()
    found["folder"] = api.get(R + "/contents").json()
    found["protection"] = api.put(R + "/branches/main/protection", json=PLAIN).json()
    path = f"{R}/hooks/{hook.json()['id']}/deliveries"
    events = ("ping", "create", "push")
    eventually(lambda: {d["event"] for d in api.get(path).json()} >= set(events))
    for delivery in api.get(path).json():
        if delivery["event"] in events:
            found[delivery["event"]] = api.get(f"{path}/{delivery['id']}").json()["request"]["payload"]
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    served = Served(tmp_path_factory.mktemp("host"))
    try:
        return answers(served)
    finally:
        served.close()


@pytest.mark.parametrize("shape", sorted(RECORDED["shapes"]))
def test_a_shape_has_the_fields_that_were_recorded(found: dict[str, Any], shape: str) -> None:
    assert sorted(set(RECORDED["shapes"][shape]) - fields(found[shape])) == []
