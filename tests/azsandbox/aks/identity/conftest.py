"""A managed cluster with workload identity, a vault and an identity, used by Azure's SDKs and kubectl alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.azsandbox.processes import Sandbox, running

MAKE = """
import json, os, base64
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.resource.resources import ResourceManagementClient

credential, subscription, tenant = DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"], os.environ["AZURE_TENANT_ID"]
ResourceManagementClient(credential, subscription).resource_groups.create_or_update("rg-wi", {"location": "westeurope"})
vault = KeyVaultManagementClient(credential, subscription).vaults.begin_create_or_update("rg-wi", "kv-wi", {
    "location": "westeurope", "properties": {"tenantId": tenant, "sku": {"family": "A", "name": "standard"},
    "enableRbacAuthorization": True, "softDeleteRetentionInDays": 7}}).result()
clusters = ContainerServiceClient(credential, subscription).managed_clusters
pool = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5", "osType": "Linux"}
cluster = clusters.begin_create_or_update("rg-wi", "aks-wi", {
    "location": "westeurope", "identity": {"type": "SystemAssigned"},
    "properties": {"dnsPrefix": "wi", "agentPoolProfiles": [pool], "oidcIssuerProfile": {"enabled": True},
                   "securityProfile": {"workloadIdentity": {"enabled": True}},
                   "addonProfiles": {"azureKeyvaultSecretsProvider": {"enabled": True,
                       "config": {"enableSecretRotation": "true", "rotationPollInterval": "2m"}}}}}).result()
config = clusters.list_cluster_admin_credentials("rg-wi", "aks-wi").kubeconfigs[0].value
identities = ManagedServiceIdentityClient(credential, subscription).user_assigned_identities
identity = identities.create_or_update("rg-wi", "id-app", {"location": "westeurope"})
addon = cluster.addon_profiles["azureKeyvaultSecretsProvider"].identity
print(json.dumps({"kubeconfig": bytes(config).decode(), "issuer": cluster.oidc_issuer_profile.issuer_url, "tenant": tenant,
    "client": identity.client_id, "principal": identity.principal_id, "vault": vault.id, "cluster": cluster.id,
    "addon_client": addon.client_id, "addon_principal": addon.object_id, "subscription": subscription}))
"""


class Lab:
    """The sandbox, with what was made in it."""

    def __init__(self, sandbox: Sandbox, made: dict[str, str], kubeconfig: str) -> None:
        self.sandbox, self.made, self.kubeconfig = sandbox, made, kubeconfig

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        """What kubectl prints as the cluster's administrator."""
        command = ["exec", "--", "kubectl", "--kubeconfig", self.kubeconfig, *arguments]
        done = self.sandbox.run(*command, check=False, input=given)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def get(self, *arguments: str) -> Any:
        """An object, or a list, as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> str:
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl("apply", "-f", "-", given=json.dumps(body))

    def python(self, code: str, **environment: str) -> Any:
        done = self.sandbox.python(code, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("identity")
    with running(folder / "home") as sandbox:
        done = sandbox.python(MAKE)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(made.pop("kubeconfig"))
        kubeconfig.chmod(0o600)
        yield Lab(sandbox, made, str(kubeconfig))
