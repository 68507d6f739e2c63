"""From a service account to a secret: the issuer, the webhook, the exchange, with kubectl and Azure's SDKs unchanged."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.azsandbox.aks.identity.conftest import SET, SUBJECT, Lab, account, pod

READ = """
import json, os, time
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient

os.environ |= json.loads(os.environ["POD"])  # `azsandbox exec` starts without variables that sign somebody in
for _ in range(40):
    try:
        value = SecretClient("https://kv-wi.vault.azure.net", WorkloadIdentityCredential()).get_secret("greeting").value
        print(json.dumps({"value": value}))
        break
    except (ClientAuthenticationError, HttpResponseError) as error:
        if os.environ.get("ONCE"):
            print(json.dumps({"error": str(error)}))
            break
        last = str(error)
        time.sleep(0.25)
else:
    raise SystemExit(last)
"""


def read(lab: Lab, token: str, tmp: Any, **more: str) -> Any:
    """What an application reads that has this token, as the webhook tells it of."""
    file = tmp / "token"
    file.write_text(token)
    names = {"AZURE_CLIENT_ID": lab.made["client"], "AZURE_TENANT_ID": lab.made["tenant"]}
    names |= {"AZURE_FEDERATED_TOKEN_FILE": str(file), "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/"}
    return lab.python(READ, POD=json.dumps(names), **more)


def token_of(lab: Lab, name: str = "app", audience: str = "api://AzureADTokenExchange") -> str:
    return lab.kubectl("create", "token", name, "-n", "shop", "--audience", audience)


def test_the_issuer_publishes_the_key_that_signs(shop: Lab) -> None:
    code = """
import json, os, jwt, requests
issuer = os.environ["ISSUER"]
document = requests.get(issuer + ".well-known/openid-configuration").json()
key = jwt.PyJWK(requests.get(document["jwks_uri"]).json()["keys"][0])
claims = jwt.decode(os.environ["TOKEN"], key, algorithms=["RS256"], audience="api://AzureADTokenExchange", issuer=issuer)
other = requests.get(issuer.replace(issuer.split("/")[-2], "none") + ".well-known/openid-configuration")
print(json.dumps([document["issuer"], claims["sub"], other.status_code]))
"""
    found = shop.python(code, ISSUER=shop.made["issuer"], TOKEN=token_of(shop))
    assert found == [shop.made["issuer"], SUBJECT, 404]
    assert re.fullmatch(r"https://westeurope\.oic\.prod-aks\.azure\.com/[^/]+/[^/]+/", shop.made["issuer"])


def test_an_account_reads_a_secret_with_no_secret_of_its_own(linked: Lab, tmp_path: Any) -> None:
    linked.python(SET, VALUE="hello")
    assert read(linked, token_of(linked), tmp_path) == {"value": "hello"}


def test_entra_says_what_does_not_match(linked: Lab, tmp_path: Any) -> None:
    linked.apply(account(linked, "other"))
    refused = read(linked, token_of(linked, "other"), tmp_path, ONCE="1")["error"]
    assert "AADSTS700213: No matching federated identity record found for presented assertion subject" in refused
    assert "'system:serviceaccount:shop:other'" in refused
    audience = read(linked, token_of(linked, audience="api://other"), tmp_path, ONCE="1")["error"]
    assert "AADSTS700212" in audience and "'api://other'" in audience


def test_a_pod_that_opts_in_gets_a_token_and_is_told_where_entra_is(shop: Lab) -> None:
    shop.apply(pod("plain", opted_in=False), pod("app"))
    found = shop.get("pod", "app", "-n", "shop")["spec"]
    volume = next(v for v in found["volumes"] if v["name"] == "azure-identity-token")
    token = {"audience": "api://AzureADTokenExchange", "expirationSeconds": 3600, "path": "azure-identity-token"}
    assert volume["projected"]["sources"] == [{"serviceAccountToken": token}]
    for container in found["containers"]:
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        assert env == {
            "AZURE_CLIENT_ID": shop.made["client"],
            "AZURE_TENANT_ID": shop.made["tenant"],
            "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        }
        assert {"name": "azure-identity-token", "mountPath": "/var/run/secrets/azure/tokens", "readOnly": True} in (
            container["volumeMounts"]
        )
    plain = shop.get("pod", "plain", "-n", "shop")["spec"]
    assert "env" not in plain["containers"][0]
    assert all(v["name"] != "azure-identity-token" for v in plain["volumes"])


def test_annotations_change_expiry_containers_and_the_proxy(shop: Lab) -> None:
    prefix = "azure.workload.identity/"
    annotations = {f"{prefix}service-account-token-expiration": "7200", f"{prefix}skip-containers": "side; other"}
    shop.apply(pod("tuned", annotations=annotations | {f"{prefix}inject-proxy-sidecar": "true"}))
    found = shop.get("pod", "tuned", "-n", "shop")["spec"]
    volume = next(v for v in found["volumes"] if v["name"] == "azure-identity-token")
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 7200
    assert "env" not in next(c for c in found["containers"] if c["name"] == "side")
    assert {c["name"] for c in found["initContainers"]} == {"azwi-proxy", "azwi-proxy-init"}
    short = {"service-account-token-expiration": "60"}
    wrong = pod("short", annotations={prefix + key: value for key, value in short.items()})
    refused = shop.kubectl("apply", "-f", "-", given=json.dumps(wrong), check=False)
    text = (
        'admission webhook "mutation.azure-workload-identity.io" denied the request: token expiration 60 not valid. '
        "Expected value to be between 3600 and 86400"
    )
    assert text in refused


def test_tokens_of_accounts_still_open_the_api(shop: Lab) -> None:
    token = shop.kubectl("create", "token", "app", "-n", "shop")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    found = json.loads(shop.kubectl("create", "-f", "-", "-o", "json", given=json.dumps(review)))["status"]
    assert found["authenticated"] is True and found["user"]["username"] == SUBJECT
