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


FEDERATE = """
import json, os
from azure.identity import DefaultAzureCredential
from azure.mgmt.msi import ManagedServiceIdentityClient

client = ManagedServiceIdentityClient(DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"])
body = {"issuer": os.environ["ISSUER"], "subject": os.environ["SUBJECT"], "audiences": ["api://AzureADTokenExchange"]}
client.federated_identity_credentials.create_or_update("rg-wi", "id-app", "app", body)
print("{}")
"""

ASSIGN = """
import json, os, uuid
from azure.identity import DefaultAzureCredential
from azure.mgmt.authorization import AuthorizationManagementClient

subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
client = AuthorizationManagementClient(DefaultAzureCredential(), subscription)
for principal, role, kind in json.loads(os.environ["ROLES"]):
    definition = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    client.role_assignments.create(os.environ["VAULT"], str(uuid.uuid4()),
        {"role_definition_id": definition, "principal_id": principal, "principal_type": kind})
print("{}")
"""

SET = """
import os, time
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient("https://kv-wi.vault.azure.net", DefaultAzureCredential())
for _ in range(40):
    try:
        client.set_secret("greeting", os.environ["VALUE"])
        break
    except HttpResponseError as error:
        assert "ForbiddenByRbac" in str(error), error
        time.sleep(0.25)
print("{}")
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


OFFICER, USER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "4633458b-17de-408a-b874-0445c86b69e6"
SUBJECT = "system:serviceaccount:shop:app"


def account(lab: Lab, name: str = "app", **annotations: str) -> dict[str, Any]:
    found = {f"azure.workload.identity/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "shop", "annotations": found},
    }


def pod(name: str, *, annotations: dict[str, str] | None = None, opted_in: bool = True, **spec: Any) -> dict[str, Any]:
    image = "mcr.microsoft.com/oss/kubernetes/pause:3.9"
    labels = {"azure.workload.identity/use": "true"} if opted_in else {}
    metadata = {"name": name, "namespace": "shop", "labels": labels, "annotations": annotations or {}}
    containers = [{"name": "app", "image": image}, {"name": "side", "image": image}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"serviceAccountName": "app", "containers": containers, **spec},
    }


@pytest.fixture(scope="session")
def shop(lab: Lab) -> Lab:
    """A namespace with an annotated account."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    lab.apply(namespace)
    lab.apply(account(lab, client_id=lab.made["client"]))
    lab.kubectl(
        "-n", "kube-system", "rollout", "status", "deployment/azure-wi-webhook-controller-manager", "--timeout=60s"
    )
    return lab


@pytest.fixture(scope="session")
def linked(shop: Lab) -> Lab:
    """The identity is linked to the account, may read the vault, and there is something to read."""
    me = shop.sandbox.env()["object_id"]
    roles = [(me, OFFICER, "User"), (shop.made["principal"], USER, "ServicePrincipal")]
    shop.python(ASSIGN, ROLES=json.dumps(roles), VAULT=shop.made["vault"])
    shop.python(FEDERATE, ISSUER=shop.made["issuer"], SUBJECT=SUBJECT)
    shop.python(SET, VALUE="hello")
    return shop
