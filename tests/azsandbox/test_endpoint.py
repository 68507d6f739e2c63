"""Mode A: clients are told the sandbox's address, and need no proxy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.azsandbox.processes import Sandbox, running


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as found:
        yield found


def python(sandbox: Sandbox, code: str, **more: str) -> str:
    env = sandbox.env()
    ours = ("PROXY", "IDENTITY_", "AZURE_", "AZSANDBOX_")  # other tests may have pointed this process at their sandbox
    kept = {name: value for name, value in os.environ.items() if not any(word in name.upper() for word in ours)}
    given = {
        "ENDPOINT": env["arm_endpoint"],
        "TENANT": env["tenant_id"],
        "SUBSCRIPTION": env["subscription_id"],
        "REQUESTS_CA_BUNDLE": env["ca"],
        "SSL_CERT_FILE": env["ca"],
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=kept | given | more
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_managed_identity_and_a_base_url_are_enough(sandbox: Sandbox) -> None:
    env = sandbox.env()
    code = """
import os
from azure.identity import DefaultAzureCredential
from azure.mgmt.resource.resources import ResourceManagementClient
client = ResourceManagementClient(DefaultAzureCredential(), os.environ["SUBSCRIPTION"], base_url=os.environ["ENDPOINT"])
client.resource_groups.create_or_update("rg-a", {"location": "westeurope"})
print(client.resource_groups.get("rg-a").id)
"""
    said = python(sandbox, code, IDENTITY_ENDPOINT=env["identity_endpoint"], IDENTITY_HEADER=env["identity_header"])
    assert said == f"/subscriptions/{env['subscription_id']}/resourceGroups/rg-a"


def test_the_metadata_services_address_can_be_told(sandbox: Sandbox) -> None:
    code = """
from azure.identity import ManagedIdentityCredential
print(len(ManagedIdentityCredential().get_token("https://management.azure.com/.default").token))
"""
    assert int(python(sandbox, code, AZURE_POD_IDENTITY_AUTHORITY_HOST=sandbox.env()["proxy"])) > 500


def test_a_client_secret_works_with_the_authority_named(sandbox: Sandbox) -> None:
    env = sandbox.env()
    graph = sandbox.token("--resource", env["arm_endpoint"] + "/")  # Graph's audience is the endpoint in this mode
    code = """
import json, os, ssl, urllib.request
from azure.identity import ClientSecretCredential
endpoint, token = os.environ["ENDPOINT"], os.environ["GRAPH"]
def post(path, body):
    request = urllib.request.Request(f"{endpoint}/v1.0{path}", json.dumps(body).encode(), method="POST")
    request.add_header("Authorization", "Bearer " + token)
    return json.load(urllib.request.urlopen(request))
application = post("/applications", {"displayName": "robot"})
post("/servicePrincipals", {"appId": application["appId"]})
secret = post(f"/applications/{application['id']}/addPassword", {})["secretText"]
credential = ClientSecretCredential(
    os.environ["TENANT"], application["appId"], secret, authority=endpoint, disable_instance_discovery=True)
print(len(credential.get_token("https://management.azure.com/.default").token))
"""
    assert int(python(sandbox, code, GRAPH=graph)) > 500


def test_paths_with_doubled_slashes_are_understood(sandbox: Sandbox) -> None:
    code = """
import os, urllib.request
url = f"{os.environ['ENDPOINT']}//{os.environ['TENANT']}//v2.0/.well-known/openid-configuration"
print(urllib.request.urlopen(url).status)
"""
    assert python(sandbox, code) == "200"


@pytest.mark.skipif(shutil.which("az") is None, reason="the Azure CLI is not on PATH")
def test_az_works_with_no_login(sandbox: Sandbox) -> None:
    env = sandbox.env()
    me = sandbox.run("exec", "--", "az", "ad", "signed-in-user", "show", "--query", "id", "-o", "tsv")
    assert me.stdout.strip() == env["object_id"]
    account = json.loads(sandbox.run("exec", "--", "az", "account", "show").stdout)
    assert account["id"] == env["subscription_id"]
    sandbox.run("exec", "--", "az", "group", "create", "-n", "rg-az", "-l", "westeurope")
    listed = sandbox.run("exec", "--", "az", "group", "list", "--query", "[].name", "-o", "tsv").stdout.split()
    assert "rg-az" in listed
