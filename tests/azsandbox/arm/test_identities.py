"""User-assigned identities and their federated credentials: limits, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azsandbox.registry.conftest import Azure, azure, home, made_home

__all__ = ["azure", "home", "made_home"]

CREDENTIAL = {"issuer": "https://issuer.example/", "audiences": ["api://AzureADTokenExchange"]}


@pytest.fixture
async def identity(azure: Azure) -> str:
    await azure.arm("PUT", azure.group, {"location": "westeurope"}, version="2024-11-01")
    made = f"{azure.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop"
    answer = await azure.arm("PUT", made, {"location": "westeurope"}, version="2023-01-31")
    assert answer.status_code == 201, answer.text
    return made


async def put(azure: Azure, url: str, properties: dict[str, Any], version: str = "2023-01-31") -> Any:
    return await azure.arm("PUT", url, {"location": "westeurope", "properties": properties}, version=version)


async def test_an_identity_has_at_most_twenty_credentials(azure: Azure, identity: str) -> None:
    for number in range(20):
        url = f"{identity}/federatedIdentityCredentials/credential{number}"
        answer = await put(azure, url, {**CREDENTIAL, "subject": f"system:serviceaccount:shop:{number}"})
        assert answer.status_code == 201, answer.text
    one_more = f"{identity}/federatedIdentityCredentials/onemore"
    answer = await put(azure, one_more, {**CREDENTIAL, "subject": "system:serviceaccount:shop:more"})
    assert (answer.status_code, "limit is 20" in answer.text) == (409, True)
    kept = f"{identity}/federatedIdentityCredentials/credential3"
    answer = await put(azure, kept, {**CREDENTIAL, "subject": "system:serviceaccount:shop:changed"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("properties", "status", "text"),
    [
        (
            {**CREDENTIAL, "claimsMatchingExpression": {"value": "claims['sub'] matches 'x'"}},
            501,
            "claimsMatchingExpression",
        ),
        ({**CREDENTIAL, "subject": "s", "audiences": ["a", "b"]}, 400, "exactly one audience"),
        ({**CREDENTIAL, "subject": "s", "issuer": "http://issuer.example"}, 400, "must be an https URL"),
        ({"subject": "s", "audiences": ["a"]}, 400, "'issuer'"),
    ],
)
async def test_a_credential_must_say_who_may_sign_in(
    azure: Azure, identity: str, properties: dict[str, Any], status: int, text: str
) -> None:
    answer = await put(azure, f"{identity}/federatedIdentityCredentials/fic", properties)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


async def test_what_an_identity_has_not_is_refused(azure: Azure, identity: str) -> None:
    answer = await put(azure, identity, {"colour": "red"}, "2024-11-30")
    assert answer.json()["error"]["code"] == "NotSupportedInSandbox"
    answer = await put(azure, identity, {"isolationScope": "Global"}, "2024-11-30")
    assert answer.status_code == 400
    shown = (await azure.arm("GET", identity, version="2024-11-30")).json()["properties"]
    assert (await put(azure, identity, shown, "2024-11-30")).status_code == 200


async def test_answers_of_new_ones_say_where_they_are(azure: Azure, identity: str) -> None:
    path = f"{identity}/federatedIdentityCredentials/fic"
    made = await put(azure, path, {**CREDENTIAL, "subject": "s"})
    assert made.headers["location"] == path.replace("/resourceGroups/", "/resourcegroups/")
    assert "location" not in (await put(azure, path, {**CREDENTIAL, "subject": "s"})).headers


async def test_the_providers_operations_are_listed(azure: Azure) -> None:
    listed = await azure.arm("GET", "/providers/Microsoft.ManagedIdentity/operations", version="2023-01-31")
    names = [operation["name"] for operation in listed.json()["value"]]
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action" in names
    assert all(operation["display"]["description"] for operation in listed.json()["value"])


async def test_a_change_may_name_the_location_and_keeps_who_the_identity_is(azure: Azure, identity: str) -> None:
    made = (await azure.arm("GET", identity, version="2023-01-31")).json()
    body = {"location": "West Europe", "tags": {"key1": "value1"}}
    changed = await azure.arm("PATCH", identity, body, version="2023-01-31")
    assert (changed.status_code, changed.json()) == (200, {**made, "tags": {"key1": "value1"}})
    moved = await azure.arm("PATCH", identity, {"location": "northeurope"}, version="2023-01-31")
    assert (moved.status_code, moved.json()["error"]["code"]) == (409, "InvalidResourceLocation")
