"""Part 4 of the series, as it is done now: a cluster that vouches for its pods, and pods that need no secret of their own."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from labkit.azure.access import assign
from labkit.azure.clients import Clients, there
from labkit.azure.cluster import scope
from labkit.azure.key_vault import vault_id
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import ManagedCluster

ADDON = "azureKeyvaultSecretsProvider"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
"""Key Vault Secrets User (Azure built-in roles)."""

AUDIENCE = "api://AzureADTokenExchange"
NAMESPACE, ACCOUNT = "vault-reader", "reader"
SUBJECT = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
CREDENTIAL = "aks-baseline"


def identity_name(settings: Settings) -> str:
    """The identity of the pods, named after the cluster."""
    return f"id-{settings.cluster}-reader"


def manifest(client_id: str, tenant_id: str, settings: Settings) -> str:
    """What runs in the cluster, as YAML."""
    text = resources.files("labkit").joinpath("data/vault-reader.yaml").read_text(encoding="utf-8")
    text = text.partition("replaced.\n")[2]
    for word, value in (("CLIENT_ID", client_id), ("TENANT_ID", tenant_id), ("VAULT", settings.vault)):
        text = text.replace(f": {word}", f": {value}")
    return text


def is_on(cluster: dict[str, Any]) -> bool:
    """True if issuer, webhook and add-on of a cluster are on, and the add-on rotates."""
    properties = cluster.get("properties") or {}
    profile = (properties.get("securityProfile") or {}).get("workloadIdentity") or {}
    add_ons: dict[str, Any] = {k.lower(): v for k, v in (properties.get("addonProfiles") or {}).items()}
    add_on = add_ons.get(ADDON.lower()) or {}
    rotates = str((add_on.get("config") or {}).get("enableSecretRotation")).lower() == "true"
    issues = (properties.get("oidcIssuerProfile") or {}).get("enabled")
    return bool(issues and profile.get("enabled") and add_on.get("enabled") and rotates)


def _cluster(clients: Clients, settings: Settings) -> dict[str, Any]:
    return clients.found(scope(clients.subscription_id, settings), "managedClusters") or {}


def _credential_fits(clients: Clients, settings: Settings, issuer: str) -> bool:
    group = f"/subscriptions/{clients.subscription_id}/resourceGroups/{settings.resource_group}"
    path = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity_name(settings)}"
    found = clients.found(f"{path}/federatedIdentityCredentials/{CREDENTIAL}", "userAssignedIdentities") or {}
    properties = found.get("properties") or {}
    return (properties.get("issuer"), properties.get("subject")) == (issuer, SUBJECT)


def _runs(clients: Clients) -> bool:
    """True if the pods run, where that can be seen."""
    if clients.kubectl is None:
        return True
    words = ["get", "deployment", ACCOUNT, "-n", NAMESPACE, "--ignore-not-found"]
    seen = clients.kubectl(
        [*words, "-o", "jsonpath={.status.updatedReplicas}/{.status.availableReplicas}"], check=False
    )
    return bool(seen.stdout.strip() == "2/2")


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the cluster vouches for its pods, the identity believes it, and the pods run."""
    cluster = _cluster(clients, settings)
    if not is_on(cluster):
        return False
    issuer = str(cluster["properties"]["oidcIssuerProfile"]["issuerURL"])
    return _credential_fits(clients, settings, issuer) and _runs(clients)


def switch_on(cluster: ManagedCluster) -> None:
    """Ask of a cluster for its issuer, the webhook, and the add-on with rotation; other add-ons stay."""
    from azure.mgmt.containerservice import models

    properties: Any = cluster.properties
    properties.oidc_issuer_profile = models.ManagedClusterOIDCIssuerProfile(enabled=True)
    security = properties.security_profile or models.ManagedClusterSecurityProfile()
    security.workload_identity = models.ManagedClusterSecurityProfileWorkloadIdentity(enabled=True)
    properties.security_profile = security
    add_on = models.ManagedClusterAddonProfile(enabled=True, config={"enableSecretRotation": "true"})
    properties.addon_profiles = {**(properties.addon_profiles or {}), ADDON: add_on}


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Switch on what is off, make identity, role and credential, and run the pods."""
    from azure.mgmt.msi.models import FederatedIdentityCredential, Identity

    group, name = settings.resource_group, settings.cluster
    if not is_on(_cluster(clients, settings)):
        cluster = clients.containers.managed_clusters.get(group, name)
        switch_on(cluster)
        poller = clients.containers.managed_clusters.begin_create_or_update(group, name, cluster)
        wait(poller, "Switching on workload identity")
    identities = clients.identities.user_assigned_identities
    found = there(identities.get, group, identity_name(settings))
    identity = found or identities.create_or_update(group, identity_name(settings), Identity(location=settings.region))
    vault = vault_id(clients.subscription_id, settings)
    assign(clients, str(identity.principal_id), SECRETS_USER, vault, "ServicePrincipal")
    issuer = str(_cluster(clients, settings)["properties"]["oidcIssuerProfile"]["issuerURL"])
    if not _credential_fits(clients, settings, issuer):
        wanted = FederatedIdentityCredential(issuer=issuer, subject=SUBJECT, audiences=[AUDIENCE])
        clients.identities.federated_identity_credentials.create_or_update(
            group, identity_name(settings), CREDENTIAL, wanted
        )
    if clients.kubectl is not None:
        text = manifest(str(identity.client_id), str(identity.tenant_id), settings)
        webhook = "deployment/azure-wi-webhook-controller-manager"
        clients.kubectl(["rollout", "status", webhook, "-n", "kube-system", "--timeout", "300s"])
        clients.kubectl(["apply", "-f", "-"], input=text)
        # A pod of before may wait long before it tries to mount again.
        pending = ["delete", "pods", "-n", NAMESPACE, "--field-selector", "status.phase=Pending", "--wait=false"]
        clients.kubectl(pending, check=False)
        wait(lambda: _runs(clients), "Waiting until the pods have their secret", timeout=900)
