"""Microsoft.KeyVault/vaults: defaults, what is refused, access policies, soft delete."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.clock import Clock
from tests.azsandbox.keyvault.conftest import Azure

DAY = 86_400


async def test_a_new_vault_waits_for_its_name_in_dns(azure: Azure, clock: Clock) -> None:
    made = await azure.vault("kv-lab")
    assert made["properties"]["provisioningState"] == "RegisteringDns"
    assert made["properties"]["vaultUri"] == "https://kv-lab.vault.azure.net"
    clock.advance(2)
    read = (await azure.arm("GET", azure.id("KV-Lab"))).json()
    assert read["properties"]["provisioningState"] == "Succeeded"
    assert read["properties"]["vaultUri"] == "https://kv-lab.vault.azure.net/"
    assert read["properties"]["softDeleteRetentionInDays"] == 90 and read["properties"]["enableSoftDelete"] is True
    assert "enablePurgeProtection" not in read["properties"] and "networkAcls" not in read["properties"]


async def test_role_assignments_are_the_default_from_the_version_of_2026_on(azure: Azure) -> None:
    old = await azure.put("kv-old", accessPolicies=[])
    azure.version = "2026-02-01"
    new = await azure.put("kv-new")
    found = [answer.json()["properties"]["enableRbacAuthorization"] for answer in (old, new)]
    assert found == [False, True]
    azure.version = "2024-11-01"
    refused = await azure.put("kv-third")
    assert refused.json()["error"]["message"] == "The parameter accessPolicies is not specified."


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"sku": {"family": "A", "name": "gold"}}, "Invalid value found at properties.sku.name: gold"),
        ({"softDeleteRetentionInDays": 5}, "Invalid value found at properties.softDeleteRetentionInDays: 5"),
        ({"enablePurgeProtection": False}, 'The property "enablePurgeProtection" cannot be set to false.'),
        ({"enableSoftDelete": False}, 'The property "enableSoftDelete" can be set to false only for creating'),
        ({"tenantId": "x"}, "An invalid value was provided for 'tenantId'."),
        ({"networkAcls": {"defaultAction": "No"}}, "Invalid value found at properties.networkAcls.defaultAction: No"),
        ({"networkAcls": {"ipRules": [{"value": "a"}]}}, "Invalid value found at properties.networkAcls.ipRules[0]"),
    ],
)
async def test_a_body_that_no_vault_can_have_is_refused(azure: Azure, properties: dict[str, Any], text: str) -> None:
    answer = await azure.put("kv-lab", **({"accessPolicies": []} | properties))
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "BadRequest"
    assert answer.json()["error"]["message"].startswith(text)
    assert (await azure.arm("GET", azure.id("kv-lab"))).status_code == 404


async def test_a_permission_that_does_not_exist_is_named_by_its_place(azure: Azure) -> None:
    answer = await azure.put("kv-lab", accessPolicies=[azure.policy(azure.host.owner_ids[0], "get", "read")])
    assert answer.json()["error"]["message"] == "Invalid value found at accessPolicies[0].permissions.secrets[1]: read"


async def test_what_the_sandbox_does_not_have_is_refused_by_name(azure: Azure) -> None:
    answer = await azure.put("kv-lab", accessPolicies=[], hsmPoolResourceId="x")
    assert answer.status_code == 501 and "hsmPoolResourceId" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["kv", "1vault", "kv--lab", "kv-lab-", "k" * 25])
async def test_a_name_that_breaks_the_rule_is_refused(azure: Azure, name: str) -> None:
    answer = await azure.put(name, accessPolicies=[])
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "VaultNameNotValid"


async def test_a_name_is_taken_once_in_all_of_azure(azure: Azure) -> None:
    await azure.vault("kv-lab")
    path = f"/subscriptions/{azure.host.subscription_id}/providers/Microsoft.KeyVault/checkNameAvailability"
    asked = {"name": "KV-lab", "type": "Microsoft.KeyVault/vaults"}
    assert (await azure.arm("POST", path, asked)).json()["reason"] == "AlreadyExists"
    assert (await azure.arm("POST", path, asked | {"name": "kv-free"})).json() == {"nameAvailable": True}
    azure.group = azure.group.replace("rg-kv", "rg-other")
    answer = await azure.put("kv-lab", accessPolicies=[])
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "VaultAlreadyExists"


async def test_purge_protection_and_retention_do_not_go_back(azure: Azure) -> None:
    await azure.vault("kv-lab", enablePurgeProtection=True, softDeleteRetentionInDays=7)
    again = await azure.vault("kv-lab")
    assert again["properties"]["enablePurgeProtection"] is True
    assert again["properties"]["softDeleteRetentionInDays"] == 7
    changed = await azure.put("kv-lab", accessPolicies=[], softDeleteRetentionInDays=8)
    assert "has been set already" in changed.json()["error"]["message"]


async def test_access_policies_are_added_replaced_and_removed(azure: Azure) -> None:
    await azure.vault("kv-lab", accessPolicies=[])
    one, other = azure.identity("one"), azure.identity("other")

    async def change(kind: str, *policies: dict[str, Any]) -> dict[str, list[str]]:
        body = {"properties": {"accessPolicies": list(policies)}}
        answer = await azure.arm("PUT", f"{azure.id('kv-lab')}/accessPolicies/{kind}", body)
        assert answer.status_code == 200 and answer.json()["type"] == "Microsoft.KeyVault/vaults/accessPolicies"
        held = answer.json()["properties"]["accessPolicies"]
        return {policy["objectId"]: policy["permissions"]["secrets"] for policy in held}

    assert await change("add", azure.policy(one, "get"), azure.policy(other, "list")) == {one: ["get"], other: ["list"]}
    assert await change("add", azure.policy(one, "list")) == {one: ["get", "list"], other: ["list"]}
    assert await change("replace", azure.policy(one, "set")) == {one: ["set"], other: ["list"]}
    assert await change("remove", azure.policy(other, "list")) == {one: ["set"]}


async def test_a_deleted_vault_comes_back_with_its_secrets(azure: Azure) -> None:
    await azure.vault("kv-lab")
    assert (await azure.data("PUT", "kv-lab/secrets/a", {"value": "kept"})).status_code == 200
    assert (await azure.arm("DELETE", azure.id("kv-lab"))).status_code == 200
    assert (await azure.data("GET", "kv-lab/secrets/a")).status_code == 404  # nobody answers at the name
    back = await azure.put("kv-lab", createMode="recover")
    assert back.status_code == 200, back.text
    assert (await azure.data("GET", "kv-lab/secrets/a")).json()["value"] == "kept"


async def test_a_deleted_vault_goes_when_its_retention_is_over(azure: Azure, clock: Clock) -> None:
    await azure.vault("kv-lab", softDeleteRetentionInDays=7)
    await azure.data("PUT", "kv-lab/secrets/a", {"value": "lost"})
    await azure.arm("DELETE", azure.id("kv-lab"))
    listed = f"/subscriptions/{azure.host.subscription_id}/providers/Microsoft.KeyVault/deletedVaults"
    assert [v["name"] for v in (await azure.arm("GET", listed)).json()["value"]] == ["kv-lab"]
    assert (await azure.put("kv-lab", accessPolicies=[])).json()["error"]["code"] == "ConflictError"
    clock.advance(7 * DAY + 1)
    assert (await azure.arm("GET", listed)).json()["value"] == []
    await azure.vault("kv-lab")
    assert (await azure.data("GET", "kv-lab/secrets/a")).json()["error"]["code"] == "SecretNotFound"


async def test_a_protected_vault_is_not_purged(azure: Azure) -> None:
    await azure.vault("kv-lab", enablePurgeProtection=True)
    await azure.arm("DELETE", azure.id("kv-lab"))
    where = f"/subscriptions/{azure.host.subscription_id}/providers/Microsoft.KeyVault/locations/westeurope"
    answer = await azure.arm("POST", f"{where}/deletedVaults/kv-lab/purge")
    assert answer.status_code == 405 and answer.json()["error"]["code"] == "MethodNotAllowed"


async def test_a_vault_of_a_deleted_group_can_be_recovered_too(azure: Azure, clock: Clock) -> None:
    await azure.vault("kv-lab")
    assert (await azure.arm("DELETE", azure.group, version="2024-11-01")).status_code == 202
    import asyncio

    listed = f"/subscriptions/{azure.host.subscription_id}/providers/Microsoft.KeyVault/deletedVaults"
    for _ in range(200):
        clock.advance(60)
        await asyncio.sleep(0.01)
        if (await azure.arm("GET", listed)).json()["value"]:
            break
    assert [v["name"] for v in (await azure.arm("GET", listed)).json()["value"]] == ["kv-lab"]
