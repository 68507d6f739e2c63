"""Locks, tags and what else sits on other resources."""

from __future__ import annotations

from tests.azsandbox.arm.conftest import Client

NSG = "~/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg"
V = "2024-07-01"


async def made(call: Client) -> None:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    await call.done(await call("PUT", NSG, {"location": "westeurope"}, V))


async def test_a_read_only_lock_stops_writes_below_it(call: Client) -> None:
    await made(call)
    lock = "~/resourceGroups/rg/providers/Microsoft.Authorization/locks/l"
    await call("PUT", lock, {"properties": {"level": "ReadOnly"}}, "2020-05-01")
    for method, path in (("PUT", NSG), ("DELETE", NSG), ("DELETE", "~/resourceGroups/rg")):
        refused = await call(
            method, path, {"location": "westeurope"} if method == "PUT" else None, V if path == NSG else "2024-11-01"
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "ScopeLocked")
    assert (await call("DELETE", lock, version="2020-05-01")).status_code == 200
    assert (await call("DELETE", NSG, version=V)).status_code == 202


async def test_a_lock_on_a_resource_keeps_its_group(call: Client) -> None:
    await made(call)
    await call(
        "PUT",
        f"{NSG}/providers/Microsoft.Authorization/locks/l",
        {"properties": {"level": "CanNotDelete"}},
        "2020-05-01",
    )
    assert (await call("DELETE", "~/resourceGroups/rg")).json()["error"]["code"] == "ScopeLocked"


async def test_tags_of_a_resource_are_patched_at_once_and_found_by_filter(call: Client) -> None:
    await made(call)
    assert (await call("PATCH", NSG, {"tags": {"env": "lab"}}, V)).json()["tags"] == {"env": "lab"}
    tags = f"{NSG}/providers/Microsoft.Resources/tags/default"
    body = {"operation": "Merge", "properties": {"tags": {"owner": "lena"}}}
    assert (await call("PATCH", tags, body)).json()["properties"]["tags"] == {"env": "lab", "owner": "lena"}
    found = await call("GET", "~/resources?$filter=tagName eq 'owner' and tagValue eq 'lena'")
    assert [r["name"] for r in found.json()["value"]] == ["nsg"]
    assert {t["tagName"] for t in (await call("GET", "~/tagNames")).json()["value"]} == {"env", "owner"}
    assert (await call("GET", "~/resources?$filter=shape eq 'round'")).json()["error"][
        "code"
    ] == "InvalidFilterInQueryString"


async def test_whether_a_resource_is_there_is_told_without_a_body(call: Client) -> None:
    await made(call)
    assert (await call("HEAD", NSG, version=V)).status_code == 204
    assert (await call("HEAD", NSG + "x", version=V)).status_code == 404


async def test_a_category_that_a_type_does_not_have_is_refused(call: Client) -> None:
    await made(call)
    workspace = "~/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/logs"
    await call("PUT", workspace, {"location": "westeurope"}, "2025-02-01")
    listed = await call(
        "GET", f"{NSG}/providers/Microsoft.Insights/diagnosticSettingsCategories", version="2021-05-01-preview"
    )
    assert {c["name"] for c in listed.json()["value"]} == {
        "NetworkSecurityGroupEvent",
        "NetworkSecurityGroupRuleCounter",
    }
    setting = f"{NSG}/providers/Microsoft.Insights/diagnosticSettings/s"
    target = workspace.replace("~", f"/subscriptions/{call.arm.services.subscription_id}")
    for category, status in (("kube-audit", 400), ("NetworkSecurityGroupEvent", 200)):
        body = {"properties": {"workspaceId": target, "logs": [{"category": category, "enabled": True}]}}
        assert (await call("PUT", setting, body, "2021-05-01-preview")).status_code == status


async def test_built_in_roles_can_be_read_at_the_tenant(call: Client) -> None:
    role = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    found = (await call("GET", role, version="2022-04-01")).json()
    assert found.get("id") == role, found
    assert found["properties"]["roleName"] == "Reader"


async def test_vm_sizes_and_quota_of_a_location(call: Client) -> None:
    skus = (
        await call("GET", "~/providers/Microsoft.Compute/skus?$filter=location eq 'westeurope'", version="2021-07-01")
    ).json()
    one = next(s for s in skus["value"] if s["name"] == "Standard_D4ds_v5")
    assert one["locationInfo"][0]["zones"] == ["1", "2", "3"]
    assert {"name": "EphemeralOSDiskSupported", "value": "True"} in one["capabilities"]
    usages = await call("GET", "~/providers/Microsoft.Compute/locations/westeurope/usages", version="2024-07-01")
    assert usages.json()["value"][0]["name"]["value"] == "cores"


async def test_a_feature_is_registered(call: Client) -> None:
    feature = "~/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/NodeAutoProvisioningPreview"
    assert (await call("GET", feature, version="2021-07-01")).json()["properties"]["state"] == "NotRegistered"
    answer = await call("POST", f"{feature}/register", version="2021-07-01")
    assert answer.json()["properties"]["state"] == "Registering"
