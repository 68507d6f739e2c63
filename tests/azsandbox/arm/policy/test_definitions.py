"""Policy definitions and initiatives: the built-in ones, custom ones, and what is refused of them."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.arm.policy import definitions
from azsandbox.arm.policy.built_in import DEFINITIONS, INITIATIVES, built_in
from tests.azsandbox.arm.conftest import Client

P = "~/providers/Microsoft.Authorization"
V = "2025-03-01"
RULE = {"if": {"field": "location", "notIn": "[parameters('places')]"}, "then": {"effect": "deny"}}
PLACES = {"places": {"type": "array", "metadata": {"strongType": "location"}}}
TAG = "96670d01-0a4d-4649-9c89-2d3abc0a5025"


def body(rule: Any = RULE, parameters: Any = PLACES, **more: Any) -> dict[str, Any]:
    return {"properties": {"policyRule": rule, "parameters": parameters, "mode": "Indexed"} | more}


def test_every_rule_of_the_built_in_definitions_can_be_read() -> None:
    for row in built_in(DEFINITIONS).values():
        properties = row["properties"]
        if properties["mode"] in definitions.MODES and "mutationInfo" not in str(properties["policyRule"]):
            for text in definitions._strings(properties["policyRule"]):
                if text.startswith("["):
                    definitions.expressions.check(text)


def test_members_of_the_built_in_initiatives_are_there() -> None:
    known = built_in(DEFINITIONS)
    for row in built_in(INITIATIVES).values():
        for member in row["properties"]["policyDefinitions"]:
            assert member["policyDefinitionId"].rsplit("/", 1)[-1] in known


async def test_a_custom_definition_is_kept_listed_and_deleted(call: Client) -> None:
    made = await call("PUT", f"{P}/policyDefinitions/places", body(displayName="Places"), V)
    assert made.status_code == 201
    assert made.json()["properties"]["parameters"]["places"]["type"] == "Array"
    assert made.json()["properties"]["metadata"]["updatedBy"] is None
    again = await call("PUT", f"{P}/policyDefinitions/places", body(displayName="Where"), V)
    assert (again.status_code, again.json()["properties"]["metadata"]["updatedBy"] is None) == (201, False)
    listed = (await call("GET", f"{P}/policyDefinitions?$filter=policyType eq 'Custom'", version=V)).json()["value"]
    assert [d["name"] for d in listed] == ["places"]
    versions = (await call("GET", f"{P}/policyDefinitions/places/versions", version=V)).json()["value"]
    assert [v["name"] for v in versions] == ["1.0.0"]
    assert (await call("DELETE", f"{P}/policyDefinitions/places", version=V)).status_code == 200
    assert (await call("DELETE", f"{P}/policyDefinitions/places", version=V)).status_code == 204
    gone = await call("GET", f"{P}/policyDefinitions/places", version=V)
    assert gone.json()["error"]["code"] == "PolicyDefinitionNotFound"


@pytest.mark.parametrize(
    ("rule", "parameters", "code", "part"),
    [
        (None, {}, "InvalidPolicyRule", "'policyRule' not found"),
        (
            {"properties": {}},
            {},
            "InvalidPolicyRule",
            "Could not find member 'properties' on object of type 'PolicyRuleDefinition'",
        ),
        (
            {"if": {"field": "type", "equal": 1}, "then": {"effect": "deny"}},
            {},
            "InvalidPolicyRule",
            "'LeafExpressionDefinition'",
        ),
        ({"if": {"field": "type"}, "then": {"effect": "deny"}}, {}, "InvalidPolicyRule", "one operator"),
        ({"if": {"allOf": []}, "then": {"effect": "deny"}}, {}, "InvalidPolicyRule", "not empty"),
        ({"if": {"field": "type", "equals": "x"}, "then": {}}, {}, "InvalidPolicyRule", "'effect' not found"),
        (
            {"if": {"field": "type", "equals": "x"}, "then": {"effect": "forbid"}},
            {},
            "InvalidPolicyRuleEffect",
            "'forbid'",
        ),
        ({"if": {"field": "colour", "equals": "x"}, "then": {"effect": "deny"}}, {}, "InvalidPolicyAlias", "'colour'"),
        (
            {"if": {"field": "Microsoft.Network/nothing/x", "equals": "x"}, "then": {"effect": "deny"}},
            {},
            "InvalidPolicyAlias",
            "under provider 'Microsoft.Network' and resource type 'nothing'",
        ),
        (RULE, {}, "InvalidPolicyParameters", "'places'"),
        (RULE, PLACES | {"other": {"type": "String"}}, "UnusedPolicyParameters", "'other'"),
        (
            RULE,
            {"places": {"type": "Array", "defaultValue": "x"}},
            "InvalidPolicyParameters",
            "actual policy parameter type 'String'",
        ),
        (
            {"if": {"field": "type", "equals": "[summon('x')]"}, "then": {"effect": "deny"}},
            {},
            "NotSupportedInSandbox",
            "'summon'",
        ),
    ],
)
async def test_a_rule_that_cannot_be_read_is_refused(
    call: Client, rule: Any, parameters: Any, code: str, part: str
) -> None:
    refused = (await call("PUT", f"{P}/policyDefinitions/x", body(rule, parameters), V)).json()["error"]
    assert refused["code"] == code
    assert part in refused["message"]


async def test_a_definition_gains_parameters_only_with_a_default(call: Client) -> None:
    await call("PUT", f"{P}/policyDefinitions/places", body(), V)
    rule = {"if": RULE["if"], "then": {"effect": "[parameters('effect')]"}}
    more = await call("PUT", f"{P}/policyDefinitions/places", body(rule, PLACES | {"effect": {"type": "String"}}), V)
    assert more.json()["error"]["code"] == "InvalidPolicyParameterUpdate"


async def test_an_initiative_checks_its_members(call: Client) -> None:
    async def refused(*members: Any, **more: Any) -> str:
        answer = await call(
            "PUT", f"{P}/policySetDefinitions/s", {"properties": {"policyDefinitions": list(members)} | more}, V
        )
        return str(answer.json()["error"]["code"])

    tag = {"policyDefinitionId": f"/providers/{DEFINITIONS}/{TAG}", "parameters": {"tagName": {"value": "a"}}}
    assert await refused() == "InvalidCreatePolicySetDefinitionRequest"
    assert await refused({"parameters": {}}) == "InvalidPolicyDefinitionReference"
    assert await refused({"policyDefinitionId": f"/providers/{DEFINITIONS}/nothing"}) == "PolicyDefinitionNotFound"
    assert await refused({**tag, "parameters": {}}) == "MissingPolicyParameter"
    assert await refused(tag, parameters={"x": {"type": "String"}}) == "UnusedPolicyParameters"
    images = f"/providers/{DEFINITIONS}/febd0533-8e55-448f-b837-bd0e06f16469"
    given = {"effect": {"value": "[parameters('e')]"}, "allowedContainerImagesRegex": {"value": "^x$"}}
    wrong = {"e": {"type": "String", "defaultValue": "Forbid"}}
    assert (
        await refused({"policyDefinitionId": images, "parameters": given}, parameters=wrong)
        == "InvalidPolicyParameters"
    )


async def test_a_definition_in_use_stays(call: Client) -> None:
    made = (await call("PUT", f"{P}/policyDefinitions/places", body(), V)).json()
    member = {"policyDefinitionId": made["id"], "parameters": {"places": {"value": ["westeurope"]}}}
    initiative = (
        await call("PUT", f"{P}/policySetDefinitions/s", {"properties": {"policyDefinitions": [member]}}, V)
    ).json()
    stays = (await call("DELETE", f"{P}/policyDefinitions/places", version=V)).json()["error"]
    assert (stays["code"], initiative["id"] in stays["message"]) == ("InvalidDeletePolicyDefinitionRequest", True)
    await call("PUT", f"{P}/policyAssignments/a", {"properties": {"policyDefinitionId": initiative["id"]}}, V)
    stays = (await call("DELETE", f"{P}/policySetDefinitions/s", version=V)).json()["error"]
    assert stays["code"] == "InvalidDeletePolicySetDefinitionRequest"
