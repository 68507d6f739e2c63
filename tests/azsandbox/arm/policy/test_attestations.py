"""The effect Manual, and what people attest."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.arm.policy import compliance
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client
from tests.azsandbox.arm.policy.test_assignments import RG, assign, group
from tests.azsandbox.arm.policy.test_insights import network, states
from tests.azsandbox.arm.policy.test_remediations import NETWORKS, define

A = "providers/Microsoft.PolicyInsights/attestations"
AV = "2022-09-01"
NET = f"{RG}/providers/{NETWORKS}/net"


async def asked(call: Client, **details: Any) -> dict[str, Any]:
    """A network, and a policy that asks somebody of it."""
    await group(call)
    network(call.arm, "net", "westeurope")
    rule = {"if": {"field": "type", "equals": NETWORKS}, "then": {"effect": "manual", "details": details}}
    return await assign(call, RG, await define(call, rule))


async def state(call: Client) -> str:
    compliance.evaluate(call.arm)
    (found,) = await states(call)
    return str(found["complianceState"])


async def test_a_resource_is_unknown_until_somebody_attests(call: Client) -> None:
    held = await asked(call)
    assert await state(call) == "Unknown"
    body = {
        "properties": {
            "policyAssignmentId": held["id"],
            "complianceState": "compliant",
            "comments": "Seen.",
            "evidence": [{"description": "audit", "sourceUri": "https://example.com/audit"}],
        }
    }
    made = await call("PUT", f"{NET}/{A}/a", body, AV)
    found = made.json()
    assert (made.status_code, found["type"]) == (201, "Microsoft.PolicyInsights/attestations")
    assert found["id"] == f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg/providers/{NETWORKS}/net/{A}/a".lower()
    assert found["properties"]["policyAssignmentId"] == held["id"].lower()
    assert (found["properties"]["complianceState"], found["properties"]["provisioningState"]) == (
        "Compliant",
        "Succeeded",
    )
    assert await state(call) == "Compliant"
    listed = (await call("GET", f"~/{A}?$filter=PolicyAssignmentId eq '{held['id'].lower()}'", version=AV)).json()
    assert [a["name"] for a in listed["value"]] == ["a"]
    gone = await call("DELETE", f"{NET}/{A}/a", version=AV)
    assert (gone.status_code, gone.content) == (200, b"")
    assert (await call("DELETE", f"{NET}/{A}/a", version=AV)).status_code == 204
    assert await state(call) == "Unknown"


async def test_the_change_of_the_state_is_dated_and_an_attestation_ends(call: Client) -> None:
    held = await asked(call, defaultState="NonCompliant")
    assert await state(call) == "NonCompliant"
    body: dict[str, Any] = {"properties": {"policyAssignmentId": held["id"], "complianceState": "Compliant"}}
    first = (await call("PUT", f"{NET}/{A}/a", body, AV)).json()["properties"]["lastComplianceStateChangeAt"]
    body["properties"]["comments"] = "again"
    again = await call("PUT", f"{NET}/{A}/a", body, AV)
    assert (again.status_code, again.json()["properties"]["lastComplianceStateChangeAt"]) == (200, first)
    assert await state(call) == "Compliant"
    body["properties"]["expiresOn"] = "2021-06-15T00:00:00Z"
    await call("PUT", f"{NET}/{A}/a", body, AV)
    assert await state(call) == "NonCompliant"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"policyAssignmentId": "/subscriptions/x"}, "InvalidCreateAttestationRequest"),
        ({"complianceState": "Good"}, "InvalidRequestContent"),
        ({"expiresOn": "tomorrow"}, "InvalidRequestContent"),
        ({"policyDefinitionReferenceId": "x"}, "InvalidCreateAttestationRequest"),
    ],
)
async def test_a_wrong_attestation_is_refused(call: Client, properties: dict[str, Any], code: str) -> None:
    held = await asked(call)
    body = {"properties": {"policyAssignmentId": held["id"], **properties}}
    refused = await call("PUT", f"{NET}/{A}/a", body, AV)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)


async def test_one_attestation_is_enough(call: Client) -> None:
    held = await asked(call)
    body = {"properties": {"policyAssignmentId": held["id"]}}
    assert (await call("PUT", f"{NET}/{A}/a", body, AV)).status_code == 201
    second = await call("PUT", f"{NET}/{A}/b", body, AV)
    assert "'a' is there" in second.json()["error"]["message"]
