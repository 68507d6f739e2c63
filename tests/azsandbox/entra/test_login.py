from __future__ import annotations

import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from azsandbox.entra import Entra, FederatedCredential
from azsandbox.entra.tokens import AZURE_CLI, read_claims
from tests.azsandbox.entra.conftest import ARM, TENANT

TOKEN = "/oauth2/v2.0/token"
SCOPE = f"{ARM}.default"


def robot(entra: Entra) -> tuple[str, str]:
    """An application with a secret: its app id and the secret."""
    application = entra.directory.create("application", {"displayName": "robot"})["properties"]
    entra.directory.create_service_principal("robot", app_id=application["appId"])
    return application["appId"], entra.directory.add_secret(application["id"], "ci", None)["secretText"]


def credentials(app_id: str, secret: str, **more: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": app_id,
        "client_secret": secret,
        "scope": SCOPE,
    } | more


async def code_of(answer: httpx.Response) -> tuple[int, int]:
    body = answer.json()
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return answer.status_code, body["error_codes"][0]


async def test_a_client_secret_gets_a_token(entra: Entra, login: httpx.AsyncClient) -> None:
    app_id, secret = robot(entra)
    answer = await login.post(TOKEN, data=credentials(app_id, secret))
    body = answer.json()
    assert body["token_type"] == "Bearer" and body["expires_in"] == 3600
    assert read_claims(body["access_token"])["appid"] == app_id


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://management.azure.com/.default", "https://management.azure.com"),
        ("https://management.core.windows.net//.default", "https://management.core.windows.net/"),
        ("https://graph.microsoft.com//.default", "https://graph.microsoft.com/"),
        ("6dae42f8-4368-4678-94ff-3960e28e3630/.default", "6dae42f8-4368-4678-94ff-3960e28e3630"),
        ("https://vault.azure.net/.default openid", "https://vault.azure.net"),
    ],
)
async def test_the_audience_is_the_scope_as_it_was_written(
    entra: Entra, login: httpx.AsyncClient, scope: str, audience: str
) -> None:
    answer = await login.post(TOKEN, data=credentials(*robot(entra), scope=scope))
    assert read_claims(answer.json()["access_token"])["aud"] == audience


async def test_the_first_version_of_the_endpoint_takes_a_resource(entra: Entra, login: httpx.AsyncClient) -> None:
    form = credentials(*robot(entra), resource=ARM)
    del form["scope"]
    body = (await login.post("/oauth2/token", data=form)).json()
    assert body["resource"] == ARM and body["expires_in"] == "3600" and int(body["expires_on"]) > time.time()


async def test_refusals_have_entras_numbers(entra: Entra, login: httpx.AsyncClient) -> None:
    app_id, secret = robot(entra)
    cases = [
        (credentials(app_id, "wrong"), (401, 7000215)),
        (credentials(app_id, ""), (401, 7000218)),
        (credentials("11111111-2222-3333-4444-555555555555", secret), (400, 700016)),
        (credentials(app_id, secret, scope="https://nowhere.example/.default"), (400, 500011)),
        (credentials(app_id, secret, scope="https://x/"), (400, 500011)),
        ({"client_id": app_id}, (400, 900144)),
        ({"grant_type": "client_credentials"}, (400, 900144)),
        (credentials(app_id, secret, grant_type="magic"), (400, 70003)),
        (
            {"grant_type": "password", "client_id": AZURE_CLI, "username": "lena", "password": "x", "scope": SCOPE},
            (400, 50076),
        ),
        ({"grant_type": "refresh_token", "client_id": AZURE_CLI, "refresh_token": "x", "scope": SCOPE}, (400, 9002313)),
    ]
    for form, expected in cases:
        assert await code_of(await login.post(TOKEN, data=form)) == expected, form


async def test_an_expired_secret_is_told_from_a_wrong_one(entra: Entra, login: httpx.AsyncClient) -> None:
    app_id, secret = robot(entra)
    entra.clock.advance(3 * 365 * 86400)
    assert await code_of(await login.post(TOKEN, data=credentials(app_id, secret))) == (401, 7000222)


async def test_a_removed_secret_opens_nothing(entra: Entra, login: httpx.AsyncClient) -> None:
    app_id, secret = robot(entra)
    application = next(o for o in entra.directory.each("application"))["properties"]
    assert entra.directory.remove_secret(application["id"], application["passwordCredentials"][0]["keyId"])
    assert await code_of(await login.post(TOKEN, data=credentials(app_id, secret))) == (401, 7000215)


async def test_secrets_are_stored_as_hashes_only(entra: Entra) -> None:
    _, secret = robot(entra)
    assert all(secret.encode() not in record.value for record in entra.bucket.list("objects"))


async def test_another_tenant_is_not_found(login: httpx.AsyncClient) -> None:
    answer = await login.get("https://login.microsoftonline.com/other.example/v2.0/.well-known/openid-configuration")
    assert await code_of(answer) == (400, 90002)


async def test_discovery_points_at_the_host_that_was_asked(entra: Entra, login: httpx.AsyncClient) -> None:
    document = (await login.get("/v2.0/.well-known/openid-configuration")).json()
    assert document["token_endpoint"] == f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
    assert (await login.get(document["jwks_uri"])).json() == entra.tokens.key_set()
    local = await login.get(f"https://localhost:8443/{TENANT}/v2.0/.well-known/openid-configuration")
    assert local.json()["token_endpoint"].startswith("https://localhost:8443/")


# --- federated tokens

ISSUER = "https://westeurope.oic.prod-aks.azure.com/t/c/"
SUBJECT = "system:serviceaccount:shop:web"


class Cluster:
    """The OIDC issuer of a cluster."""

    def __init__(self, entra: Entra) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": "one"}
        entra.directory.federated_credentials.trust(ISSUER, lambda: {"keys": [public]})

    def token(self, **changes: object) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": SUBJECT,
            "aud": ["api://AzureADTokenExchange"],
            "iat": now,
            "nbf": now,
            "exp": now + 600,
        }
        return jwt.encode(claims | changes, self.key, algorithm="RS256", headers={"kid": "one"})


def assertion(app_id: str, token: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": app_id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": token,
        "scope": SCOPE,
    }


async def test_a_service_accounts_token_stands_in_for_a_secret(entra: Entra, login: httpx.AsyncClient) -> None:
    identity = entra.directory.create_service_principal("id", "ManagedIdentity")
    assert identity.app_id
    entra.directory.federated_credentials.put(FederatedCredential(identity.app_id, "web", ISSUER, SUBJECT))
    cluster = Cluster(entra)
    answer = await login.post(TOKEN, data=assertion(identity.app_id, cluster.token()))
    assert read_claims(answer.json()["access_token"])["oid"] == identity.object_id
    refusals = [
        (cluster.token(sub="system:serviceaccount:shop:other"), 700213),
        (cluster.token(iss="https://elsewhere.example/"), 700211),
        (cluster.token(aud="https://other"), 700212),
        (cluster.token(exp=int(time.time()) - 1), 700024),
        (cluster.token()[:-8] + "AAAAAAAA", 700027),
        ("nonsense", 50027),
    ]
    for token, number in refusals:
        assert await code_of(await login.post(TOKEN, data=assertion(identity.app_id, token))) == (401, number)


async def test_an_identity_without_federated_credentials_takes_no_assertion(
    entra: Entra, login: httpx.AsyncClient
) -> None:
    identity = entra.directory.create_service_principal("id", "ManagedIdentity")
    answer = await login.post(TOKEN, data=assertion(str(identity.app_id), Cluster(entra).token()))
    assert await code_of(answer) == (401, 70025)


# --- device code


async def test_a_device_code_waits_until_a_persona_signs_in(entra: Entra, login: httpx.AsyncClient) -> None:
    begun = (await login.post("/oauth2/v2.0/devicecode", data={"client_id": AZURE_CLI, "scope": SCOPE})).json()
    assert begun["user_code"] in begun["message"]
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": AZURE_CLI,
        "device_code": begun["device_code"],
        "scope": SCOPE,
    }
    assert await code_of(await login.post(TOKEN, data=form)) == (400, 70016)
    page = begun["verification_uri"]
    assert begun["user_code"] not in (await login.get(page)).text
    assert (await login.post(page, data={"code": "WRONG", "persona": "developer"})).status_code == 400
    assert (await login.post(page, data={"code": begun["user_code"], "persona": "developer"})).status_code == 200
    body = (await login.post(TOKEN, data=form)).json()
    assert read_claims(body["access_token"])["name"] == "Dev Developer"
    assert await code_of(await login.post(TOKEN, data=form)) == (400, 9002313)  # a code is good for once
    refresh = {"grant_type": "refresh_token", "client_id": AZURE_CLI, "refresh_token": body["refresh_token"]}
    again = await login.post(TOKEN, data=refresh | {"scope": "https://graph.microsoft.com//.default"})
    assert read_claims(again.json()["access_token"])["name"] == "Dev Developer"


async def test_the_page_does_not_repeat_what_it_was_given_as_markup(login: httpx.AsyncClient) -> None:
    text = (await login.get("https://login.microsoftonline.com/devicelogin", params={"code": '"><script>'})).text
    assert "<script>" not in text
