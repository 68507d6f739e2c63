"""Azure's own SDKs against a sandbox in a process of its own, unchanged; and a crash in between."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azsandbox.processes import Sandbox, running

MANAGE = """
import json, os
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

credential, subscription = DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"]
ResourceManagementClient(credential, subscription).resource_groups.create_or_update("rg-sdk", {"location": "westeurope"})
registries = ContainerRegistryManagementClient(credential, subscription).registries
name_check = {"name": "labsdk", "type": "Microsoft.ContainerRegistry/registries"}
found = {"free": registries.check_name_availability(name_check).name_available}
body = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {"adminUserEnabled": False}}
made = registries.begin_create("rg-sdk", "labsdk", body).result()
found["made"] = [made.login_server, made.provisioning_state, made.sku.tier, made.role_assignment_mode]
found["taken"] = registries.check_name_availability(name_check).reason
try:
    registries.list_credentials("rg-sdk", "labsdk")
except HttpResponseError as error:
    found["credentials"] = error.error.code
changed = registries.begin_update("rg-sdk", "labsdk", {"properties": {"adminUserEnabled": True}, "tags": {"a": "b"}}).result()
found["changed"] = [changed.admin_user_enabled, changed.tags]
before = registries.list_credentials("rg-sdk", "labsdk")
after = registries.regenerate_credential("rg-sdk", "labsdk", {"name": "password2"})
found["passwords"] = [a.value == b.value for a, b in zip(before.passwords, after.passwords)]
for target in ("helm/podinfo:6.15.0", "kured:1.21.0"):
    image = {"helm/podinfo:6.15.0": "stefanprodan/charts/podinfo:6.15.0", "kured:1.21.0": "kubereboot/kured:1.21.0"}[target]
    source = {"registryUri": "ghcr.io", "sourceImage": image}
    registries.begin_import_image("rg-sdk", "labsdk", {"source": source, "targetTags": [target]}).result()
try:
    registries.begin_import_image("rg-sdk", "labsdk", {"source": {"registryUri": "ghcr.io", "sourceImage": "no/such:1"}, "targetTags": ["a:b"]}).result()
except HttpResponseError as error:
    found["missing"] = error.error.code
found["usage"] = {row.name: row.limit for row in registries.list_usages("rg-sdk", "labsdk").value}
found["listed"] = [registry.name for registry in registries.list()]
print(json.dumps(found))
"""

CONTENT = """
import io, json
from azure.containerregistry import ContainerRegistryClient, ArtifactTagOrder
from azure.identity import DefaultAzureCredential

client = ContainerRegistryClient("https://labsdk.azurecr.io", DefaultAzureCredential(), audience="https://containerregistry.azure.net")
found = {"repositories": list(client.list_repository_names())}
properties = client.get_repository_properties("helm/podinfo")
found["counts"] = [properties.manifest_count, properties.tag_count]
config = {"architecture": "amd64", "os": "linux"}
blob, size = client.upload_blob("app", io.BytesIO(json.dumps(config).encode()))
layer, length = client.upload_blob("app", io.BytesIO(b"x" * 9_000_000))
body = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob, "size": size},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": length}],
}
digest = client.set_manifest("app", body, tag="v1")
found["read"] = client.get_manifest("app", "v1").digest == digest
found["layer"] = sum(len(chunk) for chunk in client.download_blob("app", layer))
client.update_tag_properties("app", "v1", can_delete=False)
found["locked"] = client.get_tag_properties("app", "v1").can_delete
client.update_tag_properties("app", "v1", can_delete=True)
found["tags"] = [t.name for t in client.list_tag_properties("app", order_by=ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING)]
found["manifests"] = [(m.architecture, m.size_in_bytes) for m in client.list_manifest_properties("app")]
client.delete_tag("app", "v1")
client.delete_manifest("app", digest)
client.delete_repository("kured")
found["left"] = list(client.list_repository_names())
print(json.dumps(found))
"""

SHOW = """
import json
from azure.containerregistry import ContainerRegistryClient
from azure.identity import DefaultAzureCredential

client = ContainerRegistryClient("https://labsdk.azurecr.io", DefaultAzureCredential(), audience="https://containerregistry.azure.net")
manifest = client.get_manifest("helm/podinfo", "6.15.0").manifest
print(json.dumps([len(b"".join(client.download_blob("helm/podinfo", manifest["layers"][0]["digest"]))), manifest["layers"][0]["size"]]))
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as found:
        yield found


def answer(sandbox: Sandbox, code: str) -> Any:
    done = sandbox.python(code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_management_sdk_makes_changes_and_fills_a_registry(sandbox: Sandbox) -> None:
    found = answer(sandbox, MANAGE)
    assert found["free"] is True and found["taken"] == "AlreadyExists" and found["listed"] == ["labsdk"]
    assert found["made"] == ["labsdk.azurecr.io", "Succeeded", "Standard", "LegacyRegistryPermissions"]
    assert found["credentials"] == "UnAuthorizedForCredentialOperations" and found["passwords"] == [True, False]
    assert found["changed"] == [True, {"a": "b"}] and found["missing"] == "NotSupportedInSandbox"
    assert found["usage"] == {"Size": 107374182400, "Webhooks": 10}


def test_the_content_sdk_reads_and_writes_it(sandbox: Sandbox) -> None:
    found = answer(sandbox, CONTENT)
    assert found["repositories"] == ["helm/podinfo", "kured"] and found["counts"] == [1, 1]
    assert found["read"] is True and found["layer"] == 9_000_000 and found["locked"] is False
    assert found["tags"] == ["v1"] and found["manifests"] == [["amd64", 9_000_000 + 40]]
    assert found["left"] == ["helm/podinfo"]


def test_what_was_imported_survives_kill_9(sandbox: Sandbox) -> None:
    pid = sandbox.env()["pid"]
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        time.sleep(0.02)
    sandbox.run("up")
    length, size = answer(sandbox, SHOW)
    assert length == size > 1000
