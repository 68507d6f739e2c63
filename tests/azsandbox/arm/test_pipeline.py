"""What Resource Manager itself answers."""

from __future__ import annotations

import pytest

from azsandbox.arm import Arm
from azsandbox.arm.pipeline import parse_body
from tests.azsandbox.arm.conftest import LEARNER, Client, Principal

VNET = "~/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet"


@pytest.mark.parametrize(
    ("path", "version", "status", "code"),
    [
        ("~/resourceGroups", None, 400, "MissingApiVersionParameter"),
        ("~/resourceGroups", "tomorrow", 400, "InvalidApiVersionParameter"),
        ("/subscriptions/00000000-0000-0000-0000-000000000000", "2022-12-01", 404, "SubscriptionNotFound"),
        ("~/resourceGroups/rg/providers/Microsoft.Nothing/things/x", "2024-07-01", 404, "InvalidResourceNamespace"),
        ("~/resourceGroups/rg/providers/Microsoft.Network/nothings/x", "2024-07-01", 404, "InvalidResourceType"),
        ("~/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/x", "2001-01-01", 400, "NoRegisteredProviderFound"),
        ("~/resourceGroups/none/providers/Microsoft.Network/virtualNetworks/x", "2024-07-01", 404, "ResourceGroupNotFound"),
        ("~/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/x", "2024-07-01", 404, "ResourceNotFound"),
        ("~/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/x/subnets/s", "2024-07-01", 404, "ParentResourceNotFound"),
        ("~/resourceGroups/rg/providers/Microsoft.Network/azureFirewalls/f", "2024-07-01", 501, "NotSupportedInSandbox"),
        ("~/providers/Microsoft.Authorization/variables", "2024-12-01-preview", 501, "NotSupportedInSandbox"),
    ],
)  # fmt: skip
async def test_an_address_that_cannot_be_served_is_refused_as_azure_does(
    call: Client, path: str, version: str | None, status: int, code: str
) -> None:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    answer = await call("GET", path, version=version)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_without_a_token_the_answer_is_a_challenge(arm: Arm) -> None:
    for token in ("", "nobody"):
        client = Client(arm, token)
        if not token:
            del client.http.headers["Authorization"]
        answer = await client("GET", "/subscriptions")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")


async def test_ids_are_matched_without_case_and_returned_in_their_own(call: Client) -> None:
    await call("PUT", "~/resourceGroups/Rg-One", {"location": "westeurope"})
    body = {"location": "West Europe", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    path = "//subscriptions/{0}/resourcegroups/RG-ONE//providers/microsoft.network/VIRTUALNETWORKS/VNet/".replace(
        "/subscriptions/{0}", "~"
    )
    made = await call("PUT", path.replace("/~", "~", 1), body, "2024-07-01")
    assert made.status_code == 201
    again = await call(
        "GET", "~/resourceGroups/rg-one/providers/Microsoft.Network/virtualNetworks/vnet", version="2024-07-01"
    )
    assert again.json()["id"].endswith("/resourceGroups/Rg-One/providers/Microsoft.Network/virtualNetworks/VNet")


async def test_lists_come_in_pages_with_absolute_links(call: Client) -> None:
    for number in range(5):
        await call("PUT", f"~/resourceGroups/rg-{number}", {"location": "westeurope"})
    first = (await call("GET", "~/resourceGroups?$top=2")).json()
    assert [g["name"] for g in first["value"]] == ["rg-0", "rg-1"]
    names, link = [], first["nextLink"]
    assert link.startswith("https://sandbox.test:8443/subscriptions/")
    while link:
        page = (await call.http.get(link)).json()
        names += [g["name"] for g in page["value"]]
        link = page.get("nextLink")
    assert names == ["rg-2", "rg-3", "rg-4"]


async def test_an_etag_that_does_not_match_stops_a_write(call: Client) -> None:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    await call.done(await call("PUT", VNET, body, "2024-07-01"))
    etag = (await call("GET", VNET, version="2024-07-01")).headers["etag"]
    assert (await call("PUT", VNET, body, "2024-07-01", If_Match='W/"other"')).status_code == 412
    assert (await call("PUT", VNET, body, "2024-07-01", If_None_Match="*")).status_code == 412
    assert (await call("PUT", VNET, body, "2024-07-01", If_Match=etag)).status_code == 200


async def test_a_principal_without_a_role_sees_no_subscription(arm: Arm) -> None:
    arm.services.entra.directory.principals["stranger"] = Principal("stranger")
    stranger = Client(arm, "stranger")
    assert (await stranger("GET", "/subscriptions", version="2022-12-01")).json()["value"] == []
    refused = await stranger("GET", "~/resourceGroups/rg")
    assert refused.status_code == 403
    assert "with object id 'stranger' does not have authorization" in refused.json()["error"]["message"]
    assert (await Client(arm, LEARNER)("GET", "/subscriptions", version="2022-12-01")).json()["value"]


async def test_an_unregistered_provider_refuses_writes(call: Client) -> None:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    assert (await call("POST", "~/providers/Microsoft.Network/unregister")).json()[
        "registrationState"
    ] == "Unregistering"
    refused = await call("PUT", VNET, {"location": "westeurope"}, "2024-07-01")
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "MissingSubscriptionRegistration"
    assert (await call("POST", "~/providers/Microsoft.Network/register")).json()["registrationState"] == "Registering"


async def test_a_body_that_is_no_json_is_refused_and_one_with_bare_keys_is_read(call: Client) -> None:
    assert parse_body(b'{template: {"a": 1}}') == {"template": {"a": 1}}
    answer = await call.http.put(
        f"/subscriptions/{call.arm.services.subscription_id}/resourceGroups/rg?api-version=2024-11-01", content=b"{nope"
    )
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "InvalidRequestContent"


@pytest.mark.parametrize(
    "content", [b'{"tags":' * 200 + b"1" + b"}" * 200, b'{"tags":' * 50_000 + b"1" + b"}" * 50_000, b"[" * 50_000]
)
async def test_a_body_that_is_nested_too_deeply_is_refused(call: Client, content: bytes) -> None:
    """It ended in 500: the reader ran out of stack, or the writer after the body was taken."""
    url = f"/subscriptions/{call.arm.services.subscription_id}/resourceGroups/rg?api-version=2024-11-01"
    answer = await call.http.put(url, content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidRequestContent")


async def test_tags_have_limits(call: Client) -> None:
    many = {f"k{n}": "v" for n in range(51)}
    for tags in (many, {"a<b": "c"}, {"a": "x" * 257}):
        answer = await call("PUT", "~/resourceGroups/rg", {"location": "westeurope", "tags": tags})
        assert answer.status_code == 400
