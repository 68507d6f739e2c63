"""Faults of workload identity, one a row, as in `faults`."""

from __future__ import annotations

from typing import Any

from labkit.checks.evidence import Evidence
from tests.labkit import healthy_identity as healthy
from tests.labkit.faults import (
    DENIED,
    FAIL,
    GONE,
    PASS,
    SKIP,
    UNKNOWN,
    WARN,
    Seed,
    both,
    cluster,
    drop_workload,
    put,
    source,
    workload,
)
from tests.labkit.healthy_governance import CONTRIBUTOR, GROUP, assignment

OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
WEBHOOK = "azure-wi-webhook-controller-manager"
Rows = list[tuple[str, str, Any, Seed]]


def pod(path: str, value: Any) -> Seed:
    """Of the first pod, which runs as an identity."""
    return put("pods", f"0.{path}", value)


def pods(path: str, value: Any) -> Seed:
    """Of the two pods that run as an identity."""
    return both(*(put("pods", f"{index}.{path}", value) for index in range(2)))


def credential(path: str, value: Any) -> Seed:
    return put("identities", f"0.credentials.0.{path}", value)


def account(path: str, value: Any) -> Seed:
    return put("service-accounts", f"0.{path}", value)


def vault(path: str, value: Any) -> Seed:
    return put("vaults", f"0.properties.{path}", value)


def provider_class(path: str, value: Any) -> Seed:
    return put("provider-classes", f"0.{path}", value)


def holds(role: str, scope: str = healthy.VAULT) -> Seed:
    """One more role of the identity."""

    def seed(evidence: Evidence) -> None:
        more = assignment("more", role, healthy.PRINCIPAL, "ServicePrincipal", scope)
        evidence.sources["identity-roles"][healthy.PRINCIPAL].append(more)

    return seed


def many(evidence: Evidence) -> None:
    known = evidence.sources["identities"][0]["credentials"]
    known += [{**known[0], "name": f"c{number}", "subject": f"s{number}"} for number in range(17)]


def running(name: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        one = dict(evidence.sources["daemonsets"][0])
        evidence.sources["daemonsets"].append({**one, "namespace": "kube-system", "name": name})

    return seed


def given(name: str) -> Seed:
    """A Deployment's container is given a secret to sign in with."""
    return put("templates", "0.spec.containers.0.clientSecrets", [name])


NOBODY = both(source("service-accounts", []), source("identities", []), source("identity-roles", {}))
ADD_ON = "addonProfiles.azureKeyvaultSecretsProvider"

IDENTITY_FAULTS: Rows = [
    ("identity.oidc-issuer", "the issuer is off", FAIL, cluster("oidcIssuerProfile", {"enabled": False})),
    ("identity.oidc-issuer", "the profile is absent", FAIL, cluster("oidcIssuerProfile", GONE)),
    ("identity.oidc-issuer", "no address", FAIL, cluster("oidcIssuerProfile.issuerURL", "")),
    ("identity.oidc-issuer", "the cluster may not be read", UNKNOWN, source("cluster", DENIED)),
    ("identity.workload-identity", "absent", FAIL, cluster("securityProfile.workloadIdentity", GONE)),
    ("identity.workload-identity", "off", FAIL, cluster("securityProfile.workloadIdentity.enabled", False)),
    ("identity.webhook-ready", "one of two", FAIL, workload(WEBHOOK, ready=1)),
    ("identity.webhook-ready", "one is too few", FAIL, workload(WEBHOOK, ready=1, wanted=1)),
    ("identity.webhook-ready", "gone", FAIL, drop_workload(WEBHOOK)),
    ("identity.webhook-ready", "not wanted", SKIP, cluster("securityProfile.workloadIdentity.enabled", False)),
    ("identity.pod-identity-removed", "the profile is on", FAIL, cluster("podIdentityProfile", {"enabled": True})),
    ("identity.pod-identity-removed", "the profile is off", PASS, cluster("podIdentityProfile", {"enabled": False})),
    ("identity.pod-identity-removed", "its kinds are there", FAIL, source("pod-identity", True)),
    ("identity.pod-identity-removed", "nmi runs", FAIL, running("nmi")),
    ("identity.pod-identity-removed", "a pod is bound", FAIL, pod("labels.aadpodidbinding", "hello")),
    ("identity.federated-credential", "none", FAIL, put("identities", "0.credentials", [])),
    ("identity.federated-credential", "the issuer lacks its slash", FAIL, credential("issuer", healthy.ISSUER[:-1])),
    ("identity.federated-credential", "another account", FAIL, credential("subject", healthy.SUBJECT.upper())),
    ("identity.federated-credential", "another audience", FAIL, credential("audiences", ["api://other"])),
    ("identity.federated-credential", "no such identity", FAIL, source("identities", [])),
    ("identity.federated-credential", "almost too many", WARN, many),
    ("identity.federated-credential", "nobody uses one", SKIP, NOBODY),
    ("identity.federated-credential", "identities may not be read", UNKNOWN, source("identities", DENIED)),
    ("identity.service-account", "the principal's id", FAIL, account("client_id", healthy.PRINCIPAL)),
    ("identity.service-account", "only a tenant", FAIL, both(account("client_id", ""), account("tenant_id", "t"))),
    ("identity.service-account", "another tenant", FAIL, account("tenant_id", "another")),
    ("identity.service-account", "its own tenant", PASS, account("tenant_id", healthy.TENANT.upper())),
    ("identity.service-account", "no credential for it", FAIL, credential("subject", "another")),
    ("identity.service-account", "nobody uses one", SKIP, NOBODY),
    ("identity.pod-opt-in", "no label", FAIL, pod("labels", {})),
    (
        "identity.pod-opt-in",
        "the label says True",
        FAIL,
        put("pods", "0.labels", {"azure.workload.identity/use": "True"}),
    ),
    ("identity.pod-opt-in", "older than the webhook", FAIL, pod("token", None)),
    ("identity.pod-opt-in", "a token for another", FAIL, pod("token", "api://other")),
    ("identity.pod-opt-in", "a variable is missing", FAIL, pod("lacking", {"web": ["AZURE_CLIENT_ID"]})),
    ("identity.pod-opt-in", "no pod runs as it", SKIP, pods("account", "default")),
    ("identity.no-client-secrets", "in a Deployment", FAIL, given("AZURE_CLIENT_SECRET")),
    (
        "identity.no-client-secrets",
        "in a ConfigMap",
        FAIL,
        source("secret-settings", [{"namespace": "staging", "name": "c", "keys": ["ARM_CLIENT_SECRET"]}]),
    ),
    ("identity.least-privilege", "Contributor on one resource", FAIL, holds(CONTRIBUTOR)),
    ("identity.least-privilege", "a role on the group", WARN, holds(healthy.SECRETS_USER, GROUP)),
    ("identity.least-privilege", "no role yet", PASS, source("identity-roles", {})),
    ("identity.least-privilege", "nobody uses one", SKIP, NOBODY),
    ("identity.keyvault-addon", "absent", FAIL, cluster(ADD_ON, GONE)),
    ("identity.keyvault-addon", "off", FAIL, cluster(f"{ADD_ON}.enabled", False)),
    ("identity.keyvault-addon", "no rotation", WARN, cluster(f"{ADD_ON}.config.enableSecretRotation", "false")),
    ("identity.keyvault-addon", "the driver is not there", FAIL, drop_workload("aks-secrets-store-csi-driver")),
    ("identity.keyvault-access", "access policies", FAIL, vault("enableRbacAuthorization", False)),
    ("identity.keyvault-access", "no soft delete", FAIL, vault("enableSoftDelete", False)),
    ("identity.keyvault-access", "may be purged", WARN, vault("enablePurgeProtection", GONE)),
    ("identity.keyvault-access", "open to all", WARN, vault("networkAcls", GONE)),
    (
        "identity.keyvault-access",
        "closed altogether",
        PASS,
        both(vault("networkAcls", GONE), vault("publicNetworkAccess", "Disabled")),
    ),
    ("identity.keyvault-access", "the reader may write", FAIL, holds(OFFICER)),
    ("identity.keyvault-access", "nobody may read", FAIL, source("identity-roles", {})),
    ("identity.keyvault-access", "no vault", SKIP, source("vaults", [])),
    ("identity.secret-provider-class", "pod-managed identity", FAIL, provider_class("usePodIdentity", "true")),
    ("identity.secret-provider-class", "the node's identity", WARN, provider_class("useVMManagedIdentity", "true")),
    ("identity.secret-provider-class", "nobody", FAIL, provider_class("clientID", None)),
    ("identity.secret-provider-class", "another identity than the pod's", FAIL, account("client_id", "another")),
    ("identity.secret-provider-class", "none there", SKIP, source("provider-classes", [])),
]
