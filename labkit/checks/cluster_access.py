"""Checks of who the cluster is, and who may speak to it."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, skipped, warned
from labkit.checks.evidence import Evidence
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges


@judges("cluster.managed-identity")
def managed_identity(evidence: Evidence) -> Finding:
    """Managed identities for control plane and kubelet, and no service principal."""
    cluster, object_id = evidence.cluster, evidence.cluster_id
    kind = at(cluster, "identity.type")
    client = at(cluster, "properties.servicePrincipalProfile.clientId")
    kubelet = at(cluster, "properties.identityProfile.kubeletidentity.objectId")
    observed = f"identity {kind or 'absent'}, service principal {client or 'absent'}, kubelet identity {'set' if kubelet else 'absent'}"
    expected = "SystemAssigned or UserAssigned, service principal msi, a kubelet identity"
    if not any(same(kind, name) for name in ("SystemAssigned", "UserAssigned")):
        return failed(observed, expected, "the control plane has no managed identity", object_id)
    if not same(client, "msi"):
        return failed(
            observed, expected, "the cluster signs in as a service principal, whose secret runs out", object_id
        )
    if not kubelet:
        return failed(observed, expected, "the kubelet has no identity to pull images with", object_id)
    own_subnet = any(at(pool, "vnetSubnetID") for pool in evidence.pools)
    if same(kind, "SystemAssigned") and own_subnet:
        reason = (
            "the identity is born with the cluster, so roles on your own subnet can be granted only afterwards; "
            "a user-assigned one can have them before"
        )
        return warned(observed, expected, reason, object_id)
    return passed(observed, expected, object_id)


@judges("cluster.entra-id")
def entra_id(evidence: Evidence) -> Finding:
    """The managed integration with Entra ID, without the applications of its predecessor."""
    profile = at(evidence.cluster, "properties.aadProfile")
    expected, object_id = "aadProfile with managed true, a tenant, and no application ids", evidence.cluster_id
    if not profile:
        return failed(
            "aadProfile absent", expected, "people sign in with a certificate that all of them share", object_id
        )
    observed = f"managed {str(is_on(at(profile, 'managed'))).lower()}, tenant {at(profile, 'tenantID') or 'absent'}"
    if at(profile, "clientAppID") or at(profile, "serverAppID"):
        reason = "the legacy integration, with applications of your own, is on"
        return failed(f"{observed}, application ids set", expected, reason, object_id)
    if not is_on(at(profile, "managed")):
        return failed(observed, expected, "the integration is not the managed one", object_id)
    if not at(profile, "tenantID"):
        return failed(observed, expected, "no tenant is named", object_id)
    return passed(observed, expected, object_id)


@judges("cluster.azure-rbac")
def azure_rbac(evidence: Evidence) -> Finding:
    """Kubernetes RBAC is on, and Azure decides beside it."""
    rbac = at(evidence.cluster, "properties.enableRBAC")
    azure = at(evidence.cluster, "properties.aadProfile.enableAzureRBAC")
    observed = f"enableRBAC {_word(rbac)}, enableAzureRBAC {_word(azure)}"
    expected, object_id = "both true", evidence.cluster_id
    if not is_on(rbac):
        return failed(observed, expected, "Kubernetes authorizes nothing: whoever is signed in may do all", object_id)
    if not is_on(azure):
        return failed(
            observed, expected, "who may do what is kept in each cluster, apart from Azure's roles", object_id
        )
    return passed(observed, expected, object_id)


def _word(value: object) -> str:
    return "absent" if value is None else str(value).lower()


@judges("cluster.local-accounts")
def local_accounts(evidence: Evidence) -> Finding:
    """No certificate opens the cluster past Entra ID."""
    expected, object_id = "disableLocalAccounts true", evidence.cluster_id
    if not at(evidence.cluster, "properties.aadProfile"):
        return skipped("Entra ID must come first; see cluster.entra-id", expected, object_id)
    disabled = at(evidence.cluster, "properties.disableLocalAccounts")
    if is_on(disabled):
        return passed("disableLocalAccounts true", expected, object_id)
    reason = "az aks get-credentials --admin gives out a certificate that no role and no log ties to a person"
    return failed(f"disableLocalAccounts {_word(disabled)}", expected, reason, object_id)


@judges("cluster.api-server-exposure")
def api_server_exposure(evidence: Evidence) -> Iterator[Finding]:
    """Private, or open to named ranges only; 0.0.0.0/32 is AKS's way to name its own outbound address."""
    profile = at(evidence.cluster, "properties.apiServerAccessProfile") or {}
    ranges = at(profile, "authorizedIPRanges") or []
    expected, object_id = "a private API server, or authorized IP ranges without 0.0.0.0/0", evidence.cluster_id
    if is_on(at(profile, "enablePrivateCluster")):
        yield passed("private", expected, object_id)
        if not evidence.settings.command_invoke_allowed and not is_on(at(profile, "disableRunCommand")):
            reason = "az aks command invoke reaches the cluster from outside, and the lab's settings do not allow it"
            yield warned("private, run command on", "disableRunCommand true", reason, object_id)
        return
    if not ranges:
        yield failed("open to every address", expected, "anybody on the internet can try the API server", object_id)
    elif "0.0.0.0/0" in ranges:
        yield failed(f"ranges {', '.join(ranges)}", expected, "0.0.0.0/0 is every address", object_id)
    else:
        yield passed(f"ranges {', '.join(ranges)}", expected, object_id)
