"""Where the values of a release come from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azsandbox.controllers.client import Object, path
from azsandbox.flux.helm.history import config_digest
from tests.azsandbox.flux.helm.releasing import NAMESPACE, Lab

ALL = {
    "templates/cm.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {values: {{ .Values | toJson | quote }}}\n"
    )
}


async def config_map(lab: Lab, name: str, data: dict[str, str], **metadata: Any) -> None:
    body = {"metadata": {"name": name, **metadata}, "data": data}
    await lab.client.create(path("v1", "configmaps", NAMESPACE), body)


def from_map(name: str, **more: Any) -> Object:
    return {"kind": "ConfigMap", "name": name, **more}


async def test_values_are_merged_in_their_order_with_those_of_the_spec_over_them(lab: Lab) -> None:
    await config_map(lab, "base", {"values.yaml": "a: 1\nb: {x: 1, z: 1}\nc: [1]\n"})
    secret = {"metadata": {"name": "more"}, "stringData": {"own.yaml": "b: {z: 2}\nc: [2]\n", "password": "s3cret,x"}}
    await lab.client.create(path("v1", "secrets", NAMESPACE), secret)
    references = [
        from_map("base"),
        {"kind": "Secret", "name": "more", "valuesKey": "own.yaml"},
        {"kind": "Secret", "name": "more", "valuesKey": "password", "targetPath": "deep.password", "literal": True},
        from_map("none", optional=True),
    ]
    status = await lab.installed(ALL, valuesFrom=references, values={"a": 3})
    expected = {"a": 3, "b": {"x": 1, "z": 2}, "c": [2], "deep": {"password": "s3cret,x"}}
    assert json.loads((await lab.data() or {})["values"]) == expected
    assert status["lastAttemptedConfigDigest"] == config_digest(expected)


async def test_a_target_path_is_read_as_a_set_argument_is(lab: Lab) -> None:
    await config_map(lab, "base", {"number": "1", "text": "'1'", "item": "z"})
    references = [
        from_map("base", valuesKey="number", targetPath="one"),
        from_map("base", valuesKey="text", targetPath="two"),
        from_map("base", valuesKey="item", targetPath="list[1]"),
    ]
    await lab.installed(ALL, valuesFrom=references, values={"list": ["a", "b"]})
    assert (await lab.data() or {})["values"] == '{"list":["a","b"],"one":1,"two":"1"}'


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        (from_map("none"), "'apps/none' with key 'values.yaml': configmaps \"none\" not found"),
        (from_map("base", valuesKey="gone"), "'apps/base' with key 'gone': key not found"),
        (
            from_map("base", valuesKey="text"),
            "'apps/base' with key 'text': error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string "
            "into Go value of type common.Values",
        ),
        (
            from_map("base", valuesKey="wrong"),
            "'apps/base' with key 'wrong': error converting YAML to JSON: yaml: mapping values are not allowed in this "
            "context",
        ),
    ],
)
async def test_values_that_cannot_be_had_keep_a_release_from_being_made(lab: Lab, reference: Object, why: str) -> None:
    await config_map(lab, "base", {"text": "just text", "wrong": "a: b: c"})
    await lab.release(valuesFrom=[reference])
    await lab.offer(ALL)
    status = await lab.is_so("Ready", "ValuesError")
    message = f"could not resolve ConfigMap chart values reference {why}"
    assert {c["type"]: (c["status"], c["message"]) for c in status["conditions"]} == {
        "Ready": ("False", message),
        "Reconciling": ("True", "Fulfilling prerequisites"),
    }
    assert status["observedGeneration"] == -1
    assert lab.told("ValuesError")[0]["message"] == message
    await lab.change(valuesFrom=[{**reference, "name": "none", "optional": True}])
    await lab.is_ready(2)


async def test_a_values_source_that_asks_to_be_watched_is_followed(lab: Lab) -> None:
    labels = {"reconcile.fluxcd.io/watch": "Enabled"}
    await config_map(lab, "base", {"values.yaml": "a: 1\n"}, labels=labels)
    await lab.installed(ALL, valuesFrom=[from_map("base")])
    change = {"data": {"values.yaml": "a: 2\n"}}
    await lab.client.patch(path("v1", "configmaps", NAMESPACE, "base"), change)
    await lab.is_so("Released", "UpgradeSucceeded")
    assert (await lab.data() or {})["values"] == '{"a":2}'


async def test_values_that_break_the_charts_schema_fail_unless_it_is_not_to_be_looked_at(lab: Lab) -> None:
    schema = '{"type":"object","properties":{"colour":{"type":"string","enum":["blue","red"]}}}'
    await lab.release(values={"colour": "green"})
    await lab.offer({**ALL, "values.schema.json": schema})
    await lab.is_so("Released", "InstallFailed")
    assert (await lab.condition("Released"))["message"] == (
        "Helm install failed for release apps/web with chart web@1.0.0: values don't meet the specifications of the "
        "schema(s) in the following chart(s):\nweb:\n- at '/colour': value must be one of 'blue', 'red'"
    )
    await lab.change(install={"disableSchemaValidation": True})
    await lab.is_ready(2)
    assert (await lab.data() or {})["values"] == '{"colour":"green"}'
