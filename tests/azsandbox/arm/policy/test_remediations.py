"""DeployIfNotExists, Modify and DenyAction: what they do to resources that are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from azsandbox.arm import Arm
from azsandbox.arm.policy import compliance
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client
from tests.azsandbox.arm.policy.test_assignments import ADD_TAG, RG, TAG_ON_GROUPS, assign, group
from tests.azsandbox.arm.policy.test_insights import network, states

V = "2021-06-01"
R = "providers/Microsoft.PolicyInsights/remediations"
RV = "2021-10-01"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
NETWORKS = "Microsoft.Network/virtualNetworks"
IDENTITY = {"identity": {"type": "SystemAssigned"}, "location": "westeurope"}
SUBNET = {
    "type": f"{NETWORKS}/subnets",
    "apiVersion": "2024-05-01",
    "name": "[concat(parameters('network'), '/nodes')]",
    "properties": {"addressPrefix": "10.0.1.0/24"},
}


def deploys_subnet(**more: Any) -> dict[str, Any]:
    """The rule: every network has a subnet `nodes`."""
    properties = {
        "mode": "incremental",
        "template": {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "parameters": {"network": {"type": "string"}},
            "resources": [SUBNET],
        },
        "parameters": {"network": {"value": "[field('name')]"}},
    }
    details = {
        "type": f"{NETWORKS}/subnets",
        "name": "nodes",
        "roleDefinitionIds": [f"/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}"],
        "deployment": {"properties": properties},
        **more,
    }
    return {
        "if": {"field": "type", "equals": NETWORKS},
        "then": {"effect": "deployIfNotExists", "details": details},
    }


@pytest.fixture
async def working(arm: Arm) -> AsyncIterator[Client]:
    call = Client(arm)
    await arm.start()
    await group(call)
    yield call
    await arm.close()


async def define(call: Client, rule: Any, mode: str = "Indexed") -> str:
    path = "~/providers/Microsoft.Authorization/policyDefinitions/p"
    answer = await call("PUT", path, {"properties": {"mode": mode, "policyRule": rule}}, V)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def grant(call: Client, assignment: dict[str, Any], role: str = CONTRIBUTOR) -> None:
    body = {
        "properties": {
            "principalId": assignment["identity"]["principalId"],
            "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        }
    }
    path = f"{RG}/providers/Microsoft.Authorization/roleAssignments/11111111-2222-4333-8444-666666666666"
    assert (await call("PUT", path, body, "2022-04-01")).status_code == 201


async def remediate(call: Client, assignment: dict[str, Any], scope: str = RG, **properties: Any) -> dict[str, Any]:
    """Starts a task, and gives it at its end."""
    body = {"properties": {"policyAssignmentId": assignment["id"], **properties}}
    answer = await call("PUT", f"{scope}/{R}/task", body, RV)
    assert answer.status_code == 201, answer.text
    assert answer.json()["properties"]["provisioningState"] in ("Accepted", "Succeeded")
    return await settled(call, f"{scope}/{R}/task")


async def settled(call: Client, path: str) -> dict[str, Any]:
    import asyncio

    for _ in range(400):
        found: dict[str, Any] = (await call("GET", path, version=RV)).json()
        if found["properties"]["provisioningState"] in ("Succeeded", "Failed", "Canceled"):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


def put_network(call: Client, name: str = "net") -> None:
    network(call.arm, name, "westeurope")
    stored = call.arm.resources.get(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{NETWORKS}/{name}")
    assert stored is not None
    stored.properties["addressSpace"] = {"addressPrefixes": ["10.0.0.0/16"]}
    stored.properties["provisioningState"] = "Succeeded"
    call.arm.resources.put(stored)


async def test_a_task_deploys_for_what_does_not_comply(working: Client) -> None:
    put_network(working)
    held = await assign(working, RG, await define(working, deploys_subnet()), top=IDENTITY)
    await grant(working, held)
    compliance.evaluate(working.arm)
    assert [s["complianceState"] for s in await states(working)] == ["NonCompliant"]
    task = await remediate(working, held)
    assert task["properties"]["provisioningState"] == "Succeeded", task
    assert task["properties"]["deploymentStatus"] == {
        "totalDeployments": 1,
        "successfulDeployments": 1,
        "failedDeployments": 0,
    }
    assert task["id"] == task["id"].lower()
    (row,) = (await working("POST", f"{RG}/{R}/task/listDeployments", version=RV)).json()["value"]
    assert (row["status"], row["resourceLocation"]) == ("Succeeded", "westeurope")
    deployed = await working("GET", row["deploymentId"], version="2024-03-01")
    assert deployed.json()["name"].startswith("PolicyDeployment_")
    assert working.arm.resources.get(
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{NETWORKS}/net/subnets/nodes"
    )
    assert [s["complianceState"] for s in await states(working)] == ["Compliant"]


async def test_a_task_fails_where_the_identity_lacks_the_roles(working: Client) -> None:
    put_network(working)
    held = await assign(working, RG, await define(working, deploys_subnet()), top=IDENTITY)
    compliance.evaluate(working.arm)
    task = await remediate(working, held)
    assert task["properties"]["provisioningState"] == "Failed"
    (row,) = (await working("POST", f"{RG}/{R}/task/listDeployments", version=RV)).json()["value"]
    assert (row["status"], row["error"]["code"]) == ("Failed", "AuthorizationFailed")
    assert "Microsoft.Resources/deployments/validate/action" in row["error"]["message"]


async def test_a_resource_that_is_written_gets_what_it_lacks_after_a_while(working: Client) -> None:
    import asyncio

    held = await assign(
        working, RG, await define(working, deploys_subnet(evaluationDelay="AfterProvisioning")), top=IDENTITY
    )
    await grant(working, held)
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    await working.done(await working("PUT", f"{RG}/providers/{NETWORKS}/fresh", body, "2024-05-01"))
    wanted = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{NETWORKS}/fresh/subnets/nodes"
    for _ in range(300):
        if working.arm.resources.get(wanted):
            break
        await asyncio.sleep(0.02)
    assert working.arm.resources.get(wanted)


async def test_a_task_without_anything_to_do_has_succeeded(working: Client) -> None:
    held = await assign(working, RG, TAG_ON_GROUPS, values={"tagName": "owner"})
    task = await remediate(working, held)
    assert task["properties"]["deploymentStatus"]["totalDeployments"] == 0
    assert task["properties"]["policyAssignmentId"] == held["id"].lower()
    listed = (await working("GET", f"~/{R}", version=RV)).json()["value"]
    assert [t["name"] for t in listed] == ["task"]
    gone = await working("DELETE", f"{RG}/{R}/task", version=RV)
    assert (gone.status_code, gone.json()["name"]) == (200, "task")
    assert (await working("DELETE", f"{RG}/{R}/task", version=RV)).status_code == 204


async def test_a_task_of_modify_tags_what_is_there(working: Client) -> None:
    put_network(working)
    held = await assign(working, RG, ADD_TAG, values={"tagName": "team", "tagValue": "blue"}, top=IDENTITY)
    await grant(working, held)
    compliance.evaluate(working.arm)
    task = await remediate(working, held)
    assert task["properties"]["deploymentStatus"]["successfulDeployments"] == 1
    stored = working.arm.resources.get(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{NETWORKS}/net")
    assert stored is not None
    assert stored.body["tags"] == {"team": "blue"}
    (row,) = (await working("POST", f"{RG}/{R}/task/listDeployments", version=RV)).json()["value"]
    assert "deploymentId" not in row


async def test_a_task_is_cancelled(working: Client) -> None:
    put_network(working)
    held = await assign(working, RG, await define(working, deploys_subnet()), top=IDENTITY)
    await grant(working, held)
    compliance.evaluate(working.arm)
    body = {"properties": {"policyAssignmentId": held["id"]}}
    await working("PUT", f"{RG}/{R}/task", body, RV)
    again = await working("PUT", f"{RG}/{R}/other", body, RV)
    assert "'task' are already running" in again.json()["error"]["message"]
    assert (await working("DELETE", f"{RG}/{R}/task", version=RV)).status_code == 400
    cancelled = await working("POST", f"{RG}/{R}/task/cancel", version=RV)
    assert (cancelled.status_code, cancelled.json()["properties"]["provisioningState"]) == (200, "Cancelling")
    assert (await settled(working, f"{RG}/{R}/task"))["properties"]["provisioningState"] == "Canceled"


async def test_a_deployment_needs_details_that_can_be_read(call: Client) -> None:
    path = "~/providers/Microsoft.Authorization/policyDefinitions/p"
    for wrong in ({"roleDefinitionIds": []}, {"deployment": {}}, {"type": ""}):
        answer = await call("PUT", path, {"properties": {"policyRule": deploys_subnet(**wrong)}}, V)
        assert answer.json()["error"]["code"] == "InvalidPolicyRuleEffectDetails"


KEEP = {
    "if": {"field": "type", "equals": NETWORKS},
    "then": {"effect": "denyAction", "details": {"actionNames": ["delete"]}},
}


async def test_a_deletion_is_denied(call: Client) -> None:
    await group(call)
    put_network(call)
    await assign(call, RG, await define(call, KEEP), displayName="Networks stay")
    answer = await call("DELETE", f"{RG}/providers/{NETWORKS}/net", version="2024-05-01")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["target"]) == (403, "RequestDisallowedByPolicy", "net")
    assert error["message"].startswith("Deletion of resource 'net' was disallowed by policy. Policy identifiers:")
    assert error["additionalInfo"][0]["info"]["policyDefinitionEffect"] == "denyAction"
    compliance.evaluate(call.arm)
    assert [s["complianceState"] for s in await states(call)] == ["Protected"]
    # the group goes all the same, as the rule says nothing of it
    assert (await call("DELETE", RG, version="2022-09-01")).status_code == 202


async def test_a_deletion_of_the_group_is_denied_where_the_rule_says_so(call: Client) -> None:
    await group(call)
    put_network(call)
    rule = {**KEEP, "then": {"effect": "denyAction", "details": {"actionNames": ["delete"]}}}
    rule["then"]["details"]["cascadeBehaviors"] = {"resourceGroup": "deny"}  # type: ignore[index]
    held = await assign(call, RG, await define(call, rule))
    answer = await call("DELETE", RG, version="2022-09-01")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "RequestDisallowedByPolicy")
    await call("DELETE", held["id"], version=V)
    assert (await call("DELETE", RG, version="2022-09-01")).status_code == 202


async def test_what_has_to_be_looked_at_is_looked_at_after_a_restart(arm: Arm) -> None:
    import asyncio

    call = Client(arm)
    await arm.start()
    await group(call)
    held = await assign(call, RG, await define(call, deploys_subnet(evaluationDelay="PT1M")), top=IDENTITY)
    await grant(call, held)
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    await call.done(await call("PUT", f"{RG}/providers/{NETWORKS}/fresh", body, "2024-05-01"))
    await arm.close()  # as a crash does: what was noted is in the store
    again = Arm(arm.services)
    await again.start()
    wanted = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{NETWORKS}/fresh/subnets/nodes"
    for _ in range(300):
        if again.resources.get(wanted):
            break
        await asyncio.sleep(0.02)
    assert again.resources.get(wanted)
    await again.close()
