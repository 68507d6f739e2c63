from __future__ import annotations

from typing import Any

import httpx
import pytest

from azsandbox.entra import Entra
from azsandbox.entra.tokens import read_claims
from tests.azsandbox.entra.conftest import ARM

METADATA = "http://169.254.169.254/metadata/identity/oauth2/token"


@pytest.fixture
def client(entra: Entra) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=entra.app)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1")


async def app_service(client: httpx.AsyncClient, header: str, **query: str) -> tuple[int, Any]:
    answer = await client.get(
        "/msi/token", params={"api-version": "2019-08-01"} | query, headers={"X-IDENTITY-HEADER": header}
    )
    return answer.status_code, answer.json()


async def test_the_header_says_whose_the_token_is(entra: Entra, client: httpx.AsyncClient) -> None:
    for persona in entra.personas():
        status, body = await app_service(client, entra.identity_header(persona.object_id), resource=ARM)
        assert status == 200 and read_claims(body["access_token"])["oid"] == persona.object_id
        assert body["expires_on"].isdigit() and body["token_type"] == "Bearer"


async def test_a_wrong_header_gets_nothing(entra: Entra, client: httpx.AsyncClient) -> None:
    assert (await app_service(client, "guess", resource=ARM))[0] == 401
    assert (await client.get("/msi/token", params={"resource": ARM})).status_code == 401


async def test_a_user_assigned_identity_is_named_by_any_of_its_ids(entra: Entra, client: httpx.AsyncClient) -> None:
    resource = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
    identity = entra.directory.create_service_principal(
        "id", "ManagedIdentity", alternative_names=("isExplicit=True", resource)
    )
    header = entra.identity_header(entra.learner.object_id)
    for query in (
        {"client_id": identity.app_id},
        {"principal_id": identity.object_id},
        {"mi_res_id": resource.upper()},
    ):
        _, body = await app_service(client, header, resource=ARM, **query)
        assert read_claims(body["access_token"])["oid"] == identity.object_id


async def test_an_application_is_not_a_managed_identity(entra: Entra, client: httpx.AsyncClient) -> None:
    robot = entra.directory.create_service_principal("robot")
    header = entra.identity_header(entra.learner.object_id)
    status, body = await app_service(client, header, resource=ARM, client_id=str(robot.app_id))
    assert status == 400 and body["message"].startswith("No User Assigned or Delegated Managed Identity found")


async def test_only_the_learner_may_name_an_identity(entra: Entra, client: httpx.AsyncClient) -> None:
    identity = entra.directory.create_service_principal("id", "ManagedIdentity")
    reader = next(p for p in entra.personas() if p.key == "reader")
    header = entra.identity_header(reader.object_id)
    assert (await app_service(client, header, resource=ARM, client_id=str(identity.app_id)))[0] == 400


async def test_a_resource_is_needed(entra: Entra, client: httpx.AsyncClient) -> None:
    header = entra.identity_header(entra.learner.object_id)
    assert (await app_service(client, header))[0] == 400


async def test_the_metadata_service_wants_its_header(entra: Entra, client: httpx.AsyncClient) -> None:
    query = {"api-version": "2018-02-01", "resource": ARM}
    assert (await client.get(METADATA, params=query)).json()[
        "error_description"
    ] == "Required metadata header not specified"
    body = (await client.get(METADATA, params=query, headers={"Metadata": "true"})).json()
    assert read_claims(body["access_token"])["oid"] == entra.learner.object_id
    assert all(isinstance(body[key], str) for key in ("expires_in", "expires_on", "not_before"))
    forwarded = {"Metadata": "true", "X-Forwarded-For": "10.0.0.1"}
    assert (await client.get(METADATA, params=query, headers=forwarded)).status_code == 400
