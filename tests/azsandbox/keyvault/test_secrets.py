"""The data plane of a vault: tokens, roles, access policies, network rules, and the life of a secret."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest

from azsandbox.clock import Clock
from azsandbox.keyvault import DataPlane
from azsandbox.keyvault.access import Origin
from azsandbox.keyvault.errors import VaultError
from tests.azsandbox.keyvault.conftest import Azure

DAY = 86_400


async def test_a_request_without_a_token_is_told_where_to_get_one(azure: Azure) -> None:
    await azure.vault("kv-lab")
    answer = await azure.data("GET", "kv-lab/secrets/a", token="")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "AKV10000: Request is missing a Bearer or PoP token."
    tenant = azure.host.tenant_id
    wanted = f'Bearer authorization="https://login.microsoftonline.com/{tenant}", resource="https://vault.azure.net"'
    assert answer.headers["www-authenticate"] == wanted


async def test_a_token_for_something_else_is_refused(azure: Azure) -> None:
    await azure.vault("kv-lab")
    token = azure.host.entra.issue(azure.host.owner_ids[0], "https://management.azure.com")
    answer = await azure.data("GET", "kv-lab/secrets/a", token=token)
    text = "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com."
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, text)
    broken = await azure.data("GET", "kv-lab/secrets/a", token=token[:-4] + "AAAA")
    assert broken.json()["error"]["message"].startswith("AKV10046")


async def test_a_role_on_the_vault_arrives_after_its_moment(azure: Azure, clock: Clock) -> None:
    await azure.vault("kv-lab", enableRbacAuthorization=True)
    app = azure.identity()
    learner = azure.host.owner_ids[0]
    await azure.assign(learner, "Key Vault Administrator", azure.id("kv-lab"))
    await azure.assign(app, "Key Vault Secrets User", azure.id("kv-lab"))
    refused = await azure.data("GET", "kv-lab/secrets/a", who=app)
    assert refused.status_code == 403 and refused.json()["error"]["innererror"] == {"code": "ForbiddenByRbac"}
    text = refused.json()["error"]["message"]
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n" in text
    assert f"Resource: '{azure.id('kv-lab').lower()}/secrets/a'\r\nAssignment: (not found)" in text
    assert f"oid={app};iss=https://sts.windows.net/{azure.host.tenant_id}/" in text
    clock.advance(121)
    assert (await azure.data("PUT", "kv-lab/secrets/a", {"value": "v"})).status_code == 200
    assert (await azure.data("GET", "kv-lab/secrets/a", who=app)).json()["value"] == "v"
    assert (await azure.data("PUT", "kv-lab/secrets/a", {"value": "w"}, who=app)).status_code == 403


async def test_a_role_on_one_secret_opens_no_other(azure: Azure, clock: Clock) -> None:
    await azure.vault("kv-lab", enableRbacAuthorization=True)
    app = azure.identity()
    await azure.assign(azure.host.owner_ids[0], "Key Vault Administrator", azure.group)
    await azure.assign(app, "Key Vault Secrets User", azure.id("kv-lab") + "/secrets/mine")
    clock.advance(121)
    for name in ("mine", "other"):
        await azure.data("PUT", f"kv-lab/secrets/{name}", {"value": name})
    found = [(await azure.data("GET", f"kv-lab/secrets/{name}", who=app)).status_code for name in ("mine", "other")]
    assert found == [200, 403]
    assert (await azure.data("GET", "kv-lab/secrets", who=app)).status_code == 403


async def test_who_manages_vaults_does_not_read_secrets(azure: Azure, clock: Clock) -> None:
    await azure.vault("kv-lab", enableRbacAuthorization=True)
    app = azure.identity()
    await azure.assign(app, "Contributor", azure.id("kv-lab"))
    reader = azure.identity("reader")
    await azure.assign(reader, "Key Vault Reader", azure.id("kv-lab"))
    clock.advance(121)
    assert (await azure.data("GET", "kv-lab/secrets", who=app)).status_code == 403
    assert (await azure.data("GET", "kv-lab/secrets", who=reader)).status_code == 200
    assert (await azure.data("GET", "kv-lab/secrets/a", who=reader)).status_code == 403


async def test_an_access_policy_gives_what_it_names_and_all_does_not_purge(azure: Azure) -> None:
    app, other = azure.identity(), azure.identity("other")
    policies = [azure.policy(azure.host.owner_ids[0], "all"), azure.policy(app, "get")]
    await azure.vault("kv-lab", accessPolicies=policies)
    await azure.data("PUT", "kv-lab/secrets/a", {"value": "v"})
    assert (await azure.data("GET", "kv-lab/secrets/a", who=app)).json()["value"] == "v"
    refused = await azure.data("GET", "kv-lab/secrets", who=app)
    assert "does not have secrets list permission on key vault 'kv-lab;location=westeurope'" in refused.text
    assert (await azure.data("GET", "kv-lab/secrets/a", who=other)).json()["error"]["innererror"]["code"] == (
        "AccessDenied"
    )
    await azure.data("DELETE", "kv-lab/secrets/a")
    purge = await azure.data("DELETE", "kv-lab/deletedsecrets/a")
    assert purge.status_code == 403 and "does not have secrets purge permission" in purge.text


async def test_the_firewall_lets_in_the_addresses_it_names(azure: Azure) -> None:
    await azure.vault("kv-lab", networkAcls={"defaultAction": "Deny", "ipRules": [{"value": "203.0.113.7"}]})
    answer = await azure.data("GET", "kv-lab/secrets")
    assert answer.json()["error"]["innererror"] == {"code": "ForbiddenByFirewall"}
    assert answer.json()["error"]["message"].startswith(
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1\r\n"
    )
    found = await azure.vault("kv-lab", networkAcls={"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.0/8"}]})
    assert found["properties"]["networkAcls"]["bypass"] == "AzureServices"
    assert (await azure.data("GET", "kv-lab/secrets")).status_code == 200


async def test_the_firewall_knows_a_node_by_its_subnet_and_its_public_address(azure: Azure) -> None:
    subnet = f"{azure.group}/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
    rules = {"defaultAction": "Deny", "ipRules": [{"value": "203.0.113.7"}], "virtualNetworkRules": [{"id": subnet}]}
    await azure.vault("kv-lab", networkAcls=rules)
    token = azure.host.entra.issue(azure.host.owner_ids[0], "https://vault.azure.net")

    def listed(origin: Origin) -> int:
        vault = azure.host.vaults.get("kv-lab")
        try:
            return DataPlane(azure.host.vaults).call(
                vault, "GET", "/secrets", {"api-version": "7.4"}, b"", f"Bearer {token}", origin
            )[0]
        except VaultError as error:
            assert error.inner == "ForbiddenByFirewall"
            return error.status

    origins = [Origin("198.51.100.1"), Origin("203.0.113.7"), Origin("198.51.100.1", subnet.upper())]
    assert [listed(origin) for origin in origins] == [403, 200, 200]


async def test_each_set_is_a_version_and_old_ones_stay(azure: Azure) -> None:
    await azure.vault("kv-lab")
    ids = []
    for value in ("one", "two"):
        made = await azure.data("PUT", "kv-lab/secrets/App", {"value": value, "contentType": "text/plain"})
        ids.append(made.json()["id"].rsplit("/", 1)[-1])
    assert (await azure.data("GET", "kv-lab/secrets/app")).json()["value"] == "two"
    assert (await azure.data("GET", f"kv-lab/secrets/app/{ids[0]}")).json()["value"] == "one"
    versions = (await azure.data("GET", "kv-lab/secrets/app/versions")).json()["value"]
    assert {v["id"].rsplit("/", 1)[-1] for v in versions} == set(ids) and all("value" not in v for v in versions)
    missing = await azure.data("GET", "kv-lab/secrets/app/" + "0" * 32)
    assert missing.json()["error"]["code"] == "SecretNotFound"


async def test_a_disabled_secret_is_not_read(azure: Azure) -> None:
    await azure.vault("kv-lab")
    await azure.data("PUT", "kv-lab/secrets/a", {"value": "v"})
    changed = await azure.data("PATCH", "kv-lab/secrets/a", {"attributes": {"enabled": False, "exp": 2_000_000_000}})
    assert changed.json()["attributes"]["exp"] == 2_000_000_000 and "value" not in changed.json()
    refused = await azure.data("GET", "kv-lab/secrets/a")
    assert refused.status_code == 403 and refused.json()["error"]["innererror"]["code"] == "SecretDisabled"


async def test_a_deleted_secret_keeps_its_name_until_it_is_purged_or_recovered(azure: Azure, clock: Clock) -> None:
    await azure.vault("kv-lab", softDeleteRetentionInDays=7)
    await azure.data("PUT", "kv-lab/secrets/a", {"value": "v"})
    gone = (await azure.data("DELETE", "kv-lab/secrets/a")).json()
    assert gone["scheduledPurgeDate"] - gone["deletedDate"] == 7 * DAY and "value" not in gone
    again = await azure.data("PUT", "kv-lab/secrets/A", {"value": "w"})
    assert again.status_code == 409 and again.json()["error"]["innererror"]["code"] == "ObjectIsDeletedButRecoverable"
    assert (await azure.data("POST", "kv-lab/deletedsecrets/a/recover")).status_code == 200
    assert (await azure.data("GET", "kv-lab/secrets/a")).json()["value"] == "v"
    await azure.data("DELETE", "kv-lab/secrets/a")
    assert (await azure.data("DELETE", "kv-lab/deletedsecrets/a")).status_code == 204
    assert (await azure.data("GET", "kv-lab/deletedsecrets/a")).json()["error"]["message"] == (
        "Deleted Secret not found: a"
    )
    await azure.data("PUT", "kv-lab/secrets/a", {"value": "x"})
    await azure.data("DELETE", "kv-lab/secrets/a")
    clock.advance(7 * DAY + 1)
    assert (await azure.data("GET", "kv-lab/deletedsecrets")).json()["value"] == []


async def test_purge_protection_keeps_deleted_secrets(azure: Azure) -> None:
    await azure.vault("kv-lab", enablePurgeProtection=True)
    made = await azure.data("PUT", "kv-lab/secrets/a", {"value": "v"})
    assert made.json()["attributes"]["recoveryLevel"] == "Recoverable"
    await azure.data("DELETE", "kv-lab/secrets/a")
    answer = await azure.data("DELETE", "kv-lab/deletedsecrets/a")
    assert answer.status_code == 403 and "purge protection is enabled for this vault" in answer.text


async def test_lists_come_in_pages(azure: Azure) -> None:
    await azure.vault("kv-lab")
    for number in range(27):
        await azure.data("PUT", f"kv-lab/secrets/s{number:02}", {"value": "v"})
    first = (await azure.data("GET", "kv-lab/secrets")).json()
    assert len(first["value"]) == 25
    assert first["nextLink"].startswith("https://kv-lab.vault.azure.net/secrets?api-version=7.4&$skiptoken=")


@pytest.mark.parametrize("path", ["keys/k", "certificates", "storage", "deletedkeys/k"])
async def test_keys_and_certificates_are_refused_by_name(azure: Azure, path: str) -> None:
    await azure.vault("kv-lab")
    answer = await azure.data("GET", f"kv-lab/{path}")
    assert answer.status_code == 501 and answer.json()["error"]["code"] == "NotSupportedInSandbox"
    assert f"'{path.partition('/')[0]}'" in answer.json()["error"]["message"]


async def test_bad_names_and_versions_are_refused(azure: Azure) -> None:
    await azure.vault("kv-lab")
    bad = await azure.data("PUT", "kv-lab/secrets/a_b", {"value": "v"})
    assert bad.json()["error"] == {"code": "BadParameter", "message": "The request URI contains an invalid name: a_b"}
    assert (await azure.data("GET", "kv-lab/secrets", version="1.0")).status_code == 400


async def test_no_value_reaches_a_log(azure: Azure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await azure.vault("kv-lab")
    await azure.data("PUT", "kv-lab/secrets/a", {"value": "s3cr3t-in-no-log"})
    await azure.data("GET", "kv-lab/secrets/a")
    await azure.data("PUT", "kv-lab/secrets/a_b", {"value": "s3cr3t-in-no-log"})
    assert "kv-lab" in caplog.text and "s3cr3t-in-no-log" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {"value": "v", "attributes": ["enabled"]},
        {"value": "v", "tags": functools.reduce(lambda inner, _: {"a": inner}, range(300), {})},
    ],
)
async def test_a_body_that_is_not_a_secrets_is_refused(azure: Azure, body: dict[str, Any]) -> None:
    await azure.vault("kv-lab")
    answer = await azure.data("PUT", "kv-lab/secrets/a", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert (await azure.data("GET", "kv-lab/secrets/a")).status_code == 404
