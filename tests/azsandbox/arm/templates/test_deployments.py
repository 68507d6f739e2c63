"""Deployments: templates at a group and at the subscription, in the name of whoever deploys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from azsandbox.arm import Arm
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client

RG = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VERSION = "2024-03-01"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def template(resources: Any, **more: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": resources, **more}


def network(name: str = "net", **more: Any) -> dict[str, Any]:
    return {
        "type": "Microsoft.Network/virtualNetworks",
        "apiVersion": "2024-05-01",
        "name": name,
        "location": "[resourceGroup().location]",
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}},
        **more,
    }


@pytest.fixture
async def deployer(arm: Arm) -> AsyncIterator[Client]:
    call = Client(arm)
    await arm.start()
    await call("PUT", RG, {"location": "westeurope"}, "2022-09-01")
    yield call
    await arm.close()


async def deploy(call: Client, content: Any, name: str = "d", **properties: Any) -> dict[str, Any]:
    """Deploys, and gives the deployment at its end."""
    body = {"properties": {"mode": "Incremental", "template": content, **properties}}
    answer = await call("PUT", f"{RG}/providers/Microsoft.Resources/deployments/{name}", body, VERSION)
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["properties"]["provisioningState"] == "Accepted"
    await call.done(answer)
    found: dict[str, Any] = (
        await call("GET", f"{RG}/providers/Microsoft.Resources/deployments/{name}", version=VERSION)
    ).json()
    return found


async def test_an_empty_template_succeeds(deployer: Client) -> None:
    found = await deploy(deployer, template([]))
    properties = found["properties"]
    assert (found["type"], properties["provisioningState"]) == ("Microsoft.Resources/deployments", "Succeeded")
    assert (properties["outputResources"], properties["providers"], properties["mode"]) == ([], [], "Incremental")
    assert properties["templateHash"].isdigit()
    assert "parameters" not in properties


async def test_a_template_is_told_of_subscription_and_tenant_what_a_client_is(deployer: Client) -> None:
    outputs = {
        "subscription": {"type": "object", "value": "[subscription()]"},
        "tenant": {"type": "object", "value": "[tenant()]"},
    }
    told = (await deploy(deployer, template([], outputs=outputs)))["properties"]["outputs"]
    subscription = (await deployer("GET", f"/subscriptions/{SUBSCRIPTION}", version="2022-12-01")).json()
    tenant = (await deployer("GET", "/tenants", version="2022-12-01")).json()["value"][0]
    for found, known in ((told["subscription"]["value"], subscription), (told["tenant"]["value"], tenant)):
        assert found["displayName"] and found == {key: known[key] for key in found}


async def test_resources_are_made_in_the_order_in_which_they_need_each_other(deployer: Client) -> None:
    subnet = {
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "apiVersion": "2024-05-01",
        "name": "[concat(parameters('name'), '/', variables('subnet'))]",
        "properties": {"addressPrefix": "10.0.1.0/24"},
        "dependsOn": ["[resourceId('Microsoft.Network/virtualNetworks', parameters('name'))]"],
    }
    content = template(
        [subnet, network("[parameters('name')]")],
        parameters={"name": {"type": "string", "defaultValue": "net"}, "secret": {"type": "securestring"}},
        variables={"subnet": "[toLower('NODES')]"},
        outputs={
            "id": {"type": "string", "value": "[resourceId('Microsoft.Network/virtualNetworks', parameters('name'))]"},
            "range": {"type": "string", "value": "[reference(parameters('name')).addressSpace.addressPrefixes[0]]"},
        },
    )
    found = await deploy(deployer, content, parameters={"name": {"value": "mine"}, "secret": {"value": "hidden"}})
    properties = found["properties"]
    assert properties["provisioningState"] == "Succeeded", properties
    assert properties["outputs"]["range"] == {"type": "String", "value": "10.0.0.0/16"}
    assert properties["outputs"]["id"]["value"] == f"{RG}/providers/Microsoft.Network/virtualNetworks/mine"
    assert properties["parameters"] == {"name": {"type": "String", "value": "mine"}, "secret": {"type": "SecureString"}}
    assert len(properties["outputResources"]) == 2
    assert deployer.arm.resources.get(f"{RG}/providers/Microsoft.Network/virtualNetworks/mine/subnets/nodes")
    path = f"{RG}/providers/Microsoft.Resources/deployments/d/operations"
    rows = (await deployer("GET", path, version=VERSION)).json()["value"]
    assert [r["properties"]["targetResource"]["resourceName"] for r in rows] == ["mine", "mine/nodes"]
    short = f"{RG}/deployments/d/operations"  # the address that clients use for groups
    assert (await deployer("GET", short, version=VERSION)).json()["value"] == rows
    one = await deployer("GET", f"{short}/{rows[0]['operationId']}", version=VERSION)
    assert one.json() == rows[0]


async def test_conditions_loops_and_nulls(deployer: Client) -> None:
    content = template(
        [
            network("[concat('n', copyIndex(1))]", copy={"name": "nets", "count": 2}),
            network("never", condition="[equals('a', 'A')]"),
            network("last", dependsOn=["nets"], tags="[json('null')]"),
        ]
    )
    found = await deploy(deployer, content)
    names = sorted(r["id"].rsplit("/", 1)[-1] for r in found["properties"]["outputResources"])
    assert names == ["last", "n1", "n2"]


async def test_nested_deployments_hand_over_what_they_have_found(deployer: Client) -> None:
    await deploy(deployer, template([network()]), "first")
    read = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2020-06-01",
        "name": "get",
        "properties": {
            "mode": "Incremental",
            "template": template(
                [],
                outputs={
                    "net": {
                        "type": "object",
                        "value": "[reference(resourceId('Microsoft.Network/virtualNetworks', parameters('n')), '2024-05-01', 'Full')]",
                    }
                },
            ),
        },
    }
    inner = template(
        [network("[concat(parameters('given').name, '-copy')]", location="[parameters('given').location]")],
        parameters={"given": {"type": "object"}},
    )
    write = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2020-06-01",
        "name": "update",
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "template": inner,
            "parameters": {
                "given": {
                    "value": {
                        "name": "[parameters('n')]",
                        "location": "[reference('get').outputs.net.value.location]",
                    }
                }
            },
        },
    }
    content = template([write, read], parameters={"n": {"type": "string"}})
    found = await deploy(deployer, content, parameters={"n": {"value": "net"}})
    assert found["properties"]["provisioningState"] == "Succeeded", found
    assert deployer.arm.resources.get(f"{RG}/providers/Microsoft.Network/virtualNetworks/net-copy")
    listed = (await deployer("GET", f"{RG}/providers/Microsoft.Resources/deployments", version=VERSION)).json()["value"]
    assert sorted(d["name"] for d in listed) == ["d", "first", "get", "update"]


async def test_what_fails_is_told_and_what_needs_it_is_not_tried(deployer: Client) -> None:
    bad = network("bad", properties={"addressSpace": {"addressPrefixes": ["nonsense"]}})
    content = template([bad, network("after", dependsOn=["bad"]), network("good")])
    found = await deploy(deployer, content)
    error = found["properties"]["error"]
    assert (found["properties"]["provisioningState"], error["code"]) == ("Failed", "DeploymentFailed")
    assert error["message"].startswith("At least one resource deployment operation failed.")
    assert error["target"] == found["id"]
    assert len(error["details"]) == 1
    assert not deployer.arm.resources.get(f"{RG}/providers/Microsoft.Network/virtualNetworks/after")
    assert deployer.arm.resources.get(f"{RG}/providers/Microsoft.Network/virtualNetworks/good")


async def test_a_deployment_has_the_rights_of_whoever_began_it(deployer: Client) -> None:
    principal = deployer.arm.services.entra.directory.create_service_principal("ops").object_id
    role = "/providers/Microsoft.Authorization/roleDefinitions/{}"
    # Reader, and a role that may deploy and no more
    body = {"properties": {"roleName": "Deployer", "assignableScopes": [RG], "permissions": []}}
    body["properties"]["permissions"] = [{"actions": ["Microsoft.Resources/deployments/*"]}]
    name = "99999999-1111-4222-8333-444444444444"
    await deployer("PUT", f"{RG}/providers/Microsoft.Authorization/roleDefinitions/{name}", body, "2022-04-01")
    given = {"properties": {"roleDefinitionId": role.format(name), "principalId": principal}}
    given["properties"]["roleDefinitionId"] = f"/subscriptions/{SUBSCRIPTION}{role.format(name)}"
    path = f"{RG}/providers/Microsoft.Authorization/roleAssignments/11111111-2222-4333-8444-555555555555"
    assert (await deployer("PUT", path, given, "2022-04-01")).status_code == 201
    found = await deploy(Client(deployer.arm, principal), template([network()]))
    (detail,) = found["properties"]["error"]["details"]
    assert detail["code"] == "AuthorizationFailed"
    assert "Microsoft.Network/virtualNetworks/write" in detail["message"]


@pytest.mark.parametrize(
    ("content", "parameters", "code", "words"),
    [
        (template([], parameters={"a": {"type": "string"}}), {}, "InvalidTemplate", "parameter 'a' is not provided"),
        (template([]), {"x": {"value": 1}}, "InvalidTemplate", "'x' in the parameters file are not valid"),
        (
            template([], parameters={"a": {"type": "int"}}),
            {"a": {"value": "b"}},
            "InvalidTemplate",
            "Expected 'Integer'",
        ),
        (template([network("a/b")]), {}, "InvalidTemplate", "incorrect segment lengths"),
        (template([network("[reference('a').b]")]), {}, "InvalidTemplate", "'reference' is not expected"),
        (template([network("[map(createArray(1), 2)]")]), {}, "NotSupportedInSandbox", "'map'"),
    ],
)
async def test_a_template_that_cannot_be_is_refused(
    deployer: Client, content: Any, parameters: Any, code: str, words: str
) -> None:
    body = {"properties": {"mode": "Incremental", "template": content, "parameters": parameters}}
    answer = await deployer("PUT", f"{RG}/providers/Microsoft.Resources/deployments/d", body, VERSION)
    assert answer.json()["error"]["code"] == code, answer.text
    assert words in answer.json()["error"]["message"]


async def test_circles_are_found(deployer: Client) -> None:
    content = template([network("a", dependsOn=["b"]), network("b", dependsOn=["a"])])
    found = await deploy(deployer, content)
    assert "Circular dependency" in found["properties"]["error"]["details"][0]["message"]


async def test_a_deployment_at_the_subscription_needs_a_location(deployer: Client) -> None:
    content = template([{"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "new"}])
    content["resources"][0]["location"] = "[deployment().location]"
    body = {"properties": {"mode": "Incremental", "template": content}}
    path = "~/providers/Microsoft.Resources/deployments/sub"
    assert (await deployer("PUT", path, body, VERSION)).json()["error"]["code"] == "LocationRequired"
    answer = await deployer("PUT", path, {**body, "location": "northeurope"}, VERSION)
    await deployer.done(answer)
    found = (await deployer("GET", path, version=VERSION)).json()
    assert (found["location"], found["properties"]["provisioningState"]) == ("northeurope", "Succeeded"), found
    assert (await deployer("GET", "~/resourceGroups/new", version="2022-09-01")).json()["location"] == "northeurope"


async def test_a_template_is_validated_without_a_deployment(deployer: Client) -> None:
    body = {"properties": {"mode": "Incremental", "template": template([network()])}}
    path = f"{RG}/providers/Microsoft.Resources/deployments/d"
    answer = await deployer("POST", f"{path}/validate", body, VERSION)
    assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (200, "Succeeded")
    assert len(answer.json()["properties"]["validatedResources"]) == 1
    missing = await deployer("GET", path, version=VERSION)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "DeploymentNotFound")


async def test_a_deployment_is_exported_and_deleted(deployer: Client) -> None:
    content = template([network()])
    found = await deploy(deployer, content)
    exported = await deployer("POST", f"{found['id']}/exportTemplate", version=VERSION)
    assert exported.json()["template"] == content
    ended = await deployer.done(await deployer("DELETE", found["id"], version=VERSION))
    assert ended.status_code == 204
    assert (await deployer("GET", found["id"], version=VERSION)).status_code == 404
    assert deployer.arm.resources.get(f"{RG}/providers/Microsoft.Network/virtualNetworks/net")
