"""Custom resources with rules and defaults, as they are refused and answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Store
from tests.azsandbox.kubernetes.test_custom_deletion import DEFINITION, DEFINITIONS, WIDGETS, ask

NOT_CHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation"
)


def definition(*, rules: bool) -> Any:
    spec: dict[str, Any] = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string", "enum": ["a", "b"]}, "size": {"type": "integer", "maximum": 3}},
    }
    if rules:
        spec["x-kubernetes-validations"] = [{"rule": "self.kind != 'b'", "message": "b is taken"}]
    status = {
        "type": "object",
        "default": {"observedGeneration": -1},
        "properties": {"observedGeneration": {"type": "integer"}},
    }
    version = {
        **DEFINITION["spec"]["versions"][0],  # type: ignore[index]
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
    }
    return {**DEFINITION, "spec": {**DEFINITION["spec"], "versions": [version]}}  # type: ignore[dict-item]


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    found = ApiServer(Store(None).bucket("test"), "v1.35.4")
    bootstrap.fill(found)
    await found.custom.start()
    yield found
    await found.stop()
    await found.custom.stop()


async def serve(server: ApiServer, *, rules: bool) -> None:
    await ask(server, "POST", DEFINITIONS, definition(rules=rules))
    async with asyncio.timeout(5):
        while (await ask(server, "GET", WIDGETS))[0] != 200:  # noqa: ASYNC110 - it is served a moment later
            await asyncio.sleep(0.01)


async def refusal(server: ApiServer, spec: Any) -> list[str]:
    """The messages of the causes for which a widget is refused."""
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}
    code, answer = await ask(server, "POST", WIDGETS, widget)
    assert code == 422, answer
    return [cause["message"] for cause in answer["details"]["causes"]]


async def test_rules_are_said_to_be_unchecked_after_an_error_that_keeps_them_from_running(server: ApiServer) -> None:
    await serve(server, rules=True)
    assert await refusal(server, {"kind": "b"}) == ["Invalid value: b is taken"]
    assert await refusal(server, {"kind": "c"}) == ['Unsupported value: "c": supported values: "a", "b"', NOT_CHECKED]
    assert await refusal(server, {}) == ["Required value", NOT_CHECKED]
    too_much = "Invalid value: 4: spec.size in body should be less than or equal to 3"
    assert await refusal(server, {"kind": "b", "size": 4}) == [too_much, "Invalid value: b is taken"]


async def test_without_rules_nothing_is_said_of_them(server: ApiServer) -> None:
    await serve(server, rules=False)
    assert await refusal(server, {}) == ["Required value"]


async def test_the_answer_to_a_creation_has_the_defaults_of_the_status(server: ApiServer) -> None:
    await serve(server, rules=False)
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"kind": "a"}}
    for url in (f"{WIDGETS}?dryRun=All", WIDGETS):
        code, answer = await ask(server, "POST", url, widget)
        assert (code, answer["status"]) == (201, {"observedGeneration": -1})
    assert all(entry.get("subresource") is None for entry in answer["metadata"]["managedFields"])
