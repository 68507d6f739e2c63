"""Assignments and exemptions: what they must hold, and what they do to requests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azsandbox.arm.conftest import Client

A = "providers/Microsoft.Authorization/policyAssignments"
B = "/providers/Microsoft.Authorization/policyDefinitions"
V = "2025-03-01"
RG = "~/resourceGroups/rg"
IP = f"{RG}/providers/Microsoft.Network/publicIPAddresses/ip"
TAG_ON_GROUPS = f"{B}/96670d01-0a4d-4649-9c89-2d3abc0a5025"
LOCATIONS = f"{B}/e56962a6-4747-49cd-b67b-bf8b01975c4c"
NO_PRIVILEGE = f"{B}/95edb821-ddaf-4404-9732-666045e056b4"
ADD_TAG = f"{B}/4f9dc7db-30c1-420c-b61a-e1d640128d26"
APPEND_TAG = f"{B}/2a0e14a6-b0a6-4fab-991a-187a4f81c498"


async def group(call: Client, name: str = "rg") -> None:
    await call("PUT", f"~/resourceGroups/{name}", {"location": "westeurope"})


async def assign(call: Client, scope: str, definition: str, name: str = "a", **properties: Any) -> dict[str, Any]:
    parameters = {k: {"value": v} for k, v in properties.pop("values", {}).items()}
    top = properties.pop("top", {})
    sent = {"properties": {"policyDefinitionId": definition, "parameters": parameters} | properties} | top
    answer = await call("PUT", f"{scope}/{A}/{name}", sent, V)
    return dict(answer.json()) | {"status": answer.status_code}


async def address(call: Client, location: str = "westeurope", **more: Any) -> Any:
    body = {
        "location": location,
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    } | more
    return await call("PUT", IP, body, "2024-05-01")


@pytest.mark.parametrize(
    ("definition", "values", "code", "part"),
    [
        (f"{B}/nothing", {}, "PolicyDefinitionNotFound", "'nothing'"),
        (TAG_ON_GROUPS, {}, "MissingPolicyParameter", "'tagName'"),
        (TAG_ON_GROUPS, {"tagName": "a", "x": 1}, "UndefinedPolicyParameter", "parameter(s) 'x' which are not defined"),
        (
            LOCATIONS,
            {"listOfAllowedLocations": "westeurope"},
            "InvalidPolicyParameters",
            "actual policy parameter type 'String'",
        ),
        (
            NO_PRIVILEGE,
            {"effect": "Forbid"},
            "PolicyParameterValueNotAllowed",
            "'95edb821-ddaf-4404-9732-666045e056b4 version 9.2.0'",
        ),
        (ADD_TAG, {"tagName": "a", "tagValue": "b"}, "ResourceIdentityRequired", "'Modify'"),
    ],
)
async def test_an_assignment_that_does_not_fit_its_definition_is_refused(
    call: Client, definition: str, values: dict[str, Any], code: str, part: str
) -> None:
    refused = (await assign(call, "~", definition, values=values))["error"]
    assert (refused["code"], part in refused["message"]) == (code, True), refused


async def test_what_is_not_carried_out_is_refused_by_name(call: Client) -> None:
    identity = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
    mutates = await assign(call, "~", f"{B}/e16d171b-bfe5-4d79-a525-19736b396e92", top=identity)
    assert "'Mutate'" in mutates["error"]["message"]
    who = {"resourceSelectors": [{"selectors": [{"kind": "userPrincipalId", "in": ["x"]}]}]}
    assert "userPrincipalId" in (await assign(call, "~", NO_PRIVILEGE, **who))["error"]["message"]
    old = await assign(call, "~", NO_PRIVILEGE, definitionVersion="8.*.*")
    assert "version 8.*.*" in old["error"]["message"]


async def test_an_assignment_is_listed_by_scope(call: Client) -> None:
    await group(call)
    await assign(call, "~", NO_PRIVILEGE, "above")
    await assign(call, RG, NO_PRIVILEGE, "here")
    await assign(call, IP, NO_PRIVILEGE, "below")

    async def names(condition: str) -> list[str]:
        found = await call("GET", f"{RG}/{A}{condition}", version=V)
        return sorted(a["name"] for a in found.json()["value"])

    assert await names("") == ["above", "below", "here"]
    assert await names("?$filter=atScope()") == ["above", "here"]
    assert await names("?$filter=atExactScope()") == ["here"]
    assert (await call("DELETE", f"{RG}/{A}/here", version=V)).json()["name"] == "here"
    assert (await call("DELETE", f"{RG}/{A}/here", version=V)).status_code == 204
    gone = (await call("GET", f"{RG}/{A}/here", version=V)).json()["error"]
    assert gone == {"code": "PolicyAssignmentNotFound", "message": "The policy assignment 'here' is not found."}


async def test_deny_refuses_groups_without_a_tag(call: Client) -> None:
    await assign(call, "~", TAG_ON_GROUPS, values={"tagName": "owner"})
    refused = await call("PUT", "~/resourceGroups/bare", {"location": "westeurope"})
    assert refused.status_code == 403
    info = refused.json()["error"]["additionalInfo"][0]["info"]
    assert info["evaluationDetails"]["evaluatedExpressions"][1] == {
        "result": "True",
        "expressionKind": "Field",
        "expression": "tags[owner]",
        "path": "tags[owner]",
        "targetValue": "false",
        "operator": "Exists",
    }
    assert (
        await call("PUT", "~/resourceGroups/tagged", {"location": "westeurope", "tags": {"owner": "x"}})
    ).status_code == 201


async def test_deny_holds_for_patches_and_only_where_it_is_enforced(call: Client) -> None:
    await group(call)
    await address(call, tags={"owner": "lena"})
    rule = {"if": {"field": "tags['owner']", "exists": False}, "then": {"effect": "deny"}}
    made = await call("PUT", "~" + B + "/owner", {"properties": {"mode": "Indexed", "policyRule": rule}}, V)
    await assign(call, RG, made.json()["id"])
    assert (await call("PATCH", IP, {"tags": {"owner": None}}, "2024-05-01")).status_code == 403
    await assign(call, RG, made.json()["id"], enforcementMode="DoNotEnforce")
    assert (await address(call)).status_code < 300


async def test_exclusions_and_exemptions_let_a_scope_off(call: Client) -> None:
    await group(call)
    held = await assign(call, "~", LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]})
    assert (await address(call)).status_code == 403
    exemption = f"{RG}/providers/Microsoft.Authorization/policyExemptions/e"
    body = {"policyAssignmentId": held["id"], "exemptionCategory": "Waiver"}
    past = {"expiresOn": "2020-01-01T00:00:00Z"}
    assert (await call("PUT", exemption, {"properties": body | past}, "2022-07-01-preview")).status_code == 201
    assert (await address(call)).status_code == 403
    assert (await call("PUT", exemption, {"properties": body}, "2022-07-01-preview")).status_code == 200
    assert (await address(call)).status_code < 300
    await call("DELETE", exemption, version="2022-07-01-preview")
    assert (await address(call)).status_code == 403
    inside = (await call("GET", RG)).json()["id"]
    await assign(call, "~", LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]}, notScopes=[inside])
    assert (await address(call)).status_code < 300


async def test_an_exemption_names_members_that_there_are(call: Client) -> None:
    held = await assign(call, "~", NO_PRIVILEGE)
    body = {"policyAssignmentId": held["id"], "exemptionCategory": "Waiver", "policyDefinitionReferenceIds": ["x"]}
    path = "~/providers/Microsoft.Authorization/policyExemptions/e"
    refused = await call("PUT", path, {"properties": body}, "2022-07-01-preview")
    assert refused.json()["error"]["code"] == "InvalidPolicyDefinitionReference"
    missing = await call("GET", path, version="2022-07-01-preview")
    assert missing.json()["error"]["code"] == "PolicyExemptionNotFound"


async def test_a_message_of_the_assignment_is_the_reason(call: Client) -> None:
    await group(call)
    messages = [{"message": "Only the north."}]
    await assign(
        call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]}, nonComplianceMessages=messages
    )
    error = (await address(call)).json()["error"]
    assert error["message"] == (
        "Resource 'ip' was disallowed by policy. Reasons: 'Only the north.'. See error details for policy resource IDs."
    )
    assert error["additionalInfo"][0]["info"]["evaluationDetails"]["reason"] == "Only the north."


async def test_a_member_of_an_initiative_tells_what_it_belongs_to(call: Client) -> None:
    member = {
        "policyDefinitionId": TAG_ON_GROUPS,
        "policyDefinitionReferenceId": "owner",
        "parameters": {"tagName": {"value": "[parameters('tag')]"}},
    }
    properties = {"displayName": "Tags", "parameters": {"tag": {"type": "String"}}, "policyDefinitions": [member]}
    made = await call(
        "PUT", "~/providers/Microsoft.Authorization/policySetDefinitions/tags", {"properties": properties}, V
    )
    await assign(call, "~", made.json()["id"], values={"tag": "owner"})
    error = (await call("PUT", "~/resourceGroups/bare", {"location": "westeurope"})).json()["error"]
    info = error["additionalInfo"][0]["info"]
    assert (info["policySetDefinitionName"], info["policyDefinitionReferenceId"]) == ("tags", "owner")
    assert '"policySetDefinition":{"name":"Tags"' in error["message"]


async def test_modify_and_append_change_the_request(call: Client) -> None:
    await group(call)
    identity = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
    held = await assign(call, RG, ADD_TAG, "m", values={"tagName": "owner", "tagValue": "lab"}, top=identity)
    assert held["status"] == 201, held
    await assign(call, RG, APPEND_TAG, "p", values={"tagName": "env", "tagValue": "test"})
    assert (await address(call)).json()["tags"] == {"owner": "lab", "env": "test"}
    assert (await address(call, tags={"owner": "lena"})).json()["tags"] == {"owner": "lena", "env": "test"}


async def test_an_override_changes_the_effect(call: Client) -> None:
    await group(call)
    override = [{"kind": "policyEffect", "value": "audit"}]
    await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]}, overrides=override)
    assert (await address(call)).status_code < 300


async def test_selectors_choose_resources(call: Client) -> None:
    await group(call)
    north = [{"name": "north", "selectors": [{"kind": "resourceLocation", "in": ["northeurope"]}]}]
    await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["uksouth"]}, resourceSelectors=north)
    assert (await address(call)).status_code < 300
    west = [{"name": "west", "selectors": [{"kind": "resourceLocation", "in": ["westeurope"]}]}]
    await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["uksouth"]}, resourceSelectors=west)
    assert (await address(call)).status_code == 403


async def test_management_groups_are_refused_by_name(call: Client) -> None:
    scope = "/providers/Microsoft.Management/managementGroups/mg"
    refused = await assign(call, scope, NO_PRIVILEGE)
    assert (refused["error"]["code"], "management groups" in refused["error"]["message"]) == (
        "NotSupportedInSandbox",
        True,
    )
