"""What the API server fills in."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.kubernetes import defaults
from azsandbox.kubernetes.defaults.pods import pull_policy
from azsandbox.kubernetes.request import GroupVersionKind


def filled(group: str, version: str, kind: str, **fields: Any) -> dict[str, Any]:
    obj: dict[str, Any] = dict(fields)
    defaults.apply(GroupVersionKind(group, version, kind), obj)
    return obj


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
    ],
)
def test_an_image_without_a_tag_is_always_pulled(image: str, expected: str) -> None:
    assert pull_policy(image) == expected


def test_limits_of_a_pod_are_its_requests_where_it_names_none() -> None:
    spec = filled("", "v1", "Pod", spec={"containers": [{"resources": {"limits": {"cpu": "1"}}}]})["spec"]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "1"}


def test_a_negative_grace_period_of_a_pod_is_one_second() -> None:
    assert (
        filled("", "v1", "Pod", spec={"terminationGracePeriodSeconds": -5})["spec"]["terminationGracePeriodSeconds"]
        == 1
    )


def test_a_secret_takes_its_string_data_into_data() -> None:
    obj = filled("", "v1", "Secret", data={"a": "eA=="}, stringData={"b": "hello"})
    assert obj == {"data": {"a": "eA==", "b": "aGVsbG8="}, "type": "Opaque"}


def test_a_deployment_rolls_by_a_quarter_and_completes_a_partial_strategy() -> None:
    strategy = filled("apps", "v1", "Deployment", spec={"strategy": {"rollingUpdate": {"maxSurge": 1}}})["spec"][
        "strategy"
    ]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}}


def test_a_limit_range_derives_defaults_from_the_maximum() -> None:
    item = filled("", "v1", "LimitRange", spec={"limits": [{"type": "Container", "max": {"cpu": "1"}}]})["spec"][
        "limits"
    ][0]
    assert item["default"] == item["defaultRequest"] == {"cpu": "1"}


def test_labels_of_a_job_are_those_of_its_template() -> None:
    obj = filled("batch", "v1", "Job", spec={"template": {"metadata": {"labels": {"a": "b"}}}})
    assert obj["metadata"]["labels"] == {"a": "b"}
