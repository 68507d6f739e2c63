"""Azure's own SDKs for vaults and secrets against a sandbox in a process of its own, unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.azsandbox.processes import Sandbox, running

USE = """
import json, os
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError, ServiceRequestError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

credential, subscription = DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"]
ResourceManagementClient(credential, subscription).resource_groups.create_or_update("rg-sdk", {"location": "westeurope"})
vaults = KeyVaultManagementClient(credential, subscription).vaults
found = {"free": vaults.check_name_availability({"name": "kv-sdk", "type": "Microsoft.KeyVault/vaults"}).name_available}
me = os.environ["ME"]
policy = {"tenantId": os.environ["AZURE_TENANT_ID"], "objectId": me, "permissions": {"secrets": ["all", "purge"]}}
properties = {"tenantId": os.environ["AZURE_TENANT_ID"], "sku": {"family": "A", "name": "standard"},
              "softDeleteRetentionInDays": 7, "enableRbacAuthorization": False, "accessPolicies": [policy]}
vault = vaults.begin_create_or_update("rg-sdk", "kv-sdk", {"location": "westeurope", "properties": properties}).result()
found["vault"] = [vault.properties.vault_uri, vault.properties.provisioning_state]
client = SecretClient(vault.properties.vault_uri, credential)
client.set_secret("database", "one", content_type="text/plain", tags={"a": "b"})
client.set_secret("database", "two")
found["value"] = client.get_secret("database").value
found["versions"] = len(list(client.list_properties_of_secret_versions("database")))
client.update_secret_properties("database", content_type="x")
found["listed"] = [s.name for s in client.list_properties_of_secrets()]
client.begin_delete_secret("database").result()
found["deleted"] = [s.name for s in client.list_deleted_secrets()]
try:
    client.set_secret("database", "three")
except ResourceExistsError as error:
    found["taken"] = error.error.innererror["code"] if error.error.innererror else str(error)
found["back"] = client.begin_recover_deleted_secret("database").result().name
found["again"] = client.get_secret("database").value
client.begin_delete_secret("database").result()
client.purge_deleted_secret("database")
try:
    client.get_secret("database")
except ResourceNotFoundError as error:
    found["missing"] = error.error.code
changed = vaults.update("rg-sdk", "kv-sdk", {"properties": {"publicNetworkAccess": "Disabled"}})
found["policies"] = len(changed.properties.access_policies)
try:
    client.get_secret("database")
except HttpResponseError as error:
    found["closed"] = error.message.splitlines()[0]
vaults.delete("rg-sdk", "kv-sdk")
found["gone"] = [v.name for v in vaults.list_deleted()]
vaults.begin_purge_deleted("kv-sdk", "westeurope").result()
found["purged"] = [v.name for v in vaults.list_deleted()]
try:
    SecretClient("https://kv-sdk.vault.azure.net", credential, retry_total=0).get_secret("x")
except ServiceRequestError as error:
    found["unknown"] = type(error).__name__
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def used(sandbox: Sandbox) -> Any:
    done = sandbox.python(USE, ME=sandbox.env()["object_id"])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_management_sdk_makes_deletes_and_purges_a_vault(used: Any) -> None:
    assert used["free"] is True
    assert used["vault"] == ["https://kv-sdk.vault.azure.net/", "Succeeded"]
    assert used["policies"] == 1 and used["gone"] == ["kv-sdk"] and used["purged"] == []


def test_the_secrets_sdk_lives_through_a_secrets_life(used: Any) -> None:
    assert used["value"] == "two" and used["versions"] == 2 and used["listed"] == ["database"]
    assert used["deleted"] == ["database"] and "ObjectIsDeletedButRecoverable" in used["taken"]
    assert used["back"] == "database" and used["again"] == "two" and used["missing"] == "SecretNotFound"


def test_a_closed_vault_and_one_that_is_not_there_say_so(used: Any) -> None:
    assert "Public network access is disabled" in used["closed"] and used["unknown"] == "ServiceRequestError"
