"""Part 4 of the healthy baseline as Azure and the API server answer it: an account, its identity, a vault."""

from __future__ import annotations

from typing import Any

from tests.labkit.healthy_governance import GROUP, SUBSCRIPTION, assignment

CLIENT, PRINCIPAL = "00000000-0000-0000-0000-00000000c100", "00000000-0000-0000-0000-00000000c200"
TENANT = "00000000-0000-0000-0000-0000000000bb"
ISSUER = "https://westeurope.oic.prod-aks.azure.com/t/g/"
SUBJECT = "system:serviceaccount:staging:hello"
AUDIENCE = "api://AzureADTokenExchange"
IDENTITY = f"{GROUP.replace('resourceGroups', 'resourcegroups')}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-hello"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-aks-baseline"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
ENVIRONMENT = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST")


def credential(name: str = "hello", issuer: str = ISSUER, subject: str = SUBJECT) -> dict[str, Any]:
    """A federated credential."""
    properties = {"issuer": issuer, "subject": subject, "audiences": [AUDIENCE]}
    return {"id": f"{IDENTITY}/federatedIdentityCredentials/{name}", "name": name, "properties": properties}


def identity(name: str, client: str) -> dict[str, Any]:
    """A user-assigned identity."""
    properties = {"clientId": client, "principalId": PRINCIPAL, "tenantId": TENANT}
    return {"id": IDENTITY.replace("id-hello", name), "name": name, "properties": properties}


def vault() -> dict[str, Any]:
    """A vault that roles guard."""
    properties = {
        "enableRbacAuthorization": True,
        "enableSoftDelete": True,
        "enablePurgeProtection": True,
        "publicNetworkAccess": "Enabled",
        "networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"},
        "vaultUri": "https://kv-aks-baseline.vault.azure.net/",
    }
    return {"id": VAULT, "name": "kv-aks-baseline", "properties": properties}


def arm_answers() -> dict[str, Any]:
    """What Azure Resource Manager answers, by path in lower case."""
    region = f"/subscriptions/{SUBSCRIPTION}/providers"
    other = {**vault(), "id": VAULT.replace("rg-aks-baseline", "rg-other"), "name": "kv-other", "properties": {}}
    answers: dict[str, Any] = {
        f"{region}/Microsoft.ManagedIdentity/userAssignedIdentities": [
            identity("id-other", "00000000-0000-0000-0000-00000000c999"),
            identity("id-hello", CLIENT),
        ],
        f"{IDENTITY}/federatedIdentityCredentials": [credential()],
        f"{region}/Microsoft.Authorization/roleAssignments": [
            assignment("reads", SECRETS_USER, PRINCIPAL, "ServicePrincipal", VAULT)
        ],
        f"{region}/Microsoft.KeyVault/vaults": [other, vault()],
    }
    return {path.lower(): answer for path, answer in answers.items()}


def account(namespace: str, name: str, **annotations: str) -> dict[str, Any]:
    """A service account."""
    found = {f"azure.workload.identity/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"metadata": {"namespace": namespace, "name": name, "annotations": found}}


def identified(pod: dict[str, Any]) -> dict[str, Any]:
    """A pod that the webhook has seen, and that mounts what its class names."""
    pod["metadata"]["labels"]["azure.workload.identity/use"] = "true"
    spec = pod["spec"]
    spec["serviceAccountName"] = "hello"
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        container["env"] = [*container.get("env", []), *({"name": name, "value": "x"} for name in ENVIRONMENT)]
    token = {"serviceAccountToken": {"audience": AUDIENCE, "path": "azure-identity-token", "expirationSeconds": 3600}}
    csi = {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "hello"}}
    spec["volumes"] += [
        {"name": "azure-identity-token", "projected": {"sources": [token]}},
        {"name": "secrets", "csi": csi},
    ]
    return pod


def kubernetes_answers() -> dict[str, Any]:
    """What the API server answers, by path."""
    parameters = {"clientID": CLIENT, "keyvaultName": "kv-aks-baseline", "tenantId": TENANT, "usePodIdentity": "false"}
    provider_class = {"metadata": {"namespace": "staging", "name": "hello"}}
    return {
        "/api/v1/serviceaccounts": [
            account("staging", "hello", client_id=CLIENT),
            account("staging", "default"),
            account("kube-system", "agent", client_id="x"),
        ],
        "/api/v1/configmaps": [
            {"metadata": {"namespace": "staging", "name": "hello"}, "data": {"COLOUR": "blue"}},
            {"metadata": {"namespace": "kube-system", "name": "x"}, "data": {"AZURE_CLIENT_SECRET": "y"}},
        ],
        "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses": [
            {**provider_class, "spec": {"provider": "azure", "parameters": parameters}}
        ],
    }
