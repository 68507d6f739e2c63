"""What is read of workload identity: accounts, identities with their credentials and roles, vaults, provider classes.

Of ConfigMaps the names of a few keys are kept, and of no Secret anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from labkit.checks.collector import Collector, Reader, bounded
from labkit.checks.evidence import Object, Problem, api_versions
from labkit.checks.facts import identity
from labkit.checks.lookup import at, same
from labkit.checks.workload_sources import of_applications, where_served
from labkit.errors import ReadError

IDENTITIES = "providers/Microsoft.ManagedIdentity/userAssignedIdentities"


def read_service_accounts(collector: Collector) -> list[Object]:
    """The applications' service accounts that name an identity of Azure, or its tenant."""
    facts = identity()

    def keep(item: Object) -> Object:
        annotations = (item.get("metadata") or {}).get("annotations") or {}
        return {key: str(annotations.get(facts[key]) or "") for key in ("client_id", "tenant_id")}

    found = of_applications(collector, "/api/v1/serviceaccounts", "service accounts", keep)
    return [item for item in found if item["client_id"] or item["tenant_id"]]


def read_identities(collector: Collector) -> list[Object]:
    """The user-assigned identities that service accounts name, with their federated credentials."""
    wanted = {account["client_id"].lower() for account in collector.needed("service-accounts")} - {""}
    if not wanted:
        return []
    arm, version = collector.arm(), api_versions()["userAssignedIdentities"]
    path = f"/subscriptions/{collector.evidence.subscription_id}/{IDENTITIES}"
    named = bounded(
        arm.pages(path, version),
        "identities",
        keep=lambda item: item if str(at(item, "properties.clientId")).lower() in wanted else None,
    )
    found = []
    for item in named:
        credentials = bounded(arm.pages(f"{item['id']}/federatedIdentityCredentials", version), "federated credentials")
        found.append(
            {
                "id": item["id"],
                "name": item.get("name", ""),
                **{key: str(at(item, f"properties.{key}") or "") for key in ("clientId", "principalId", "tenantId")},
                "credentials": [
                    {
                        "name": c.get("name", ""),
                        **{k: at(c, f"properties.{k}") for k in ("issuer", "subject", "audiences")},
                    }
                    for c in credentials
                ],
            }
        )
    return found


def read_identity_roles(collector: Collector) -> dict[str, list[Object]]:
    """The role assignments of each of those identities in the subscription, by principal id."""
    found = {}
    for one in collector.needed("identities"):
        query = quote(f"assignedTo('{one['principalId']}')")
        path = f"/subscriptions/{collector.evidence.subscription_id}/providers/Microsoft.Authorization/roleAssignments"
        pages = collector.arm().pages(f"{path}?$filter={query}", api_versions()["roleAssignments"])
        found[one["principalId"]] = bounded(pages, "role assignments")
    return found


def read_provider_classes(collector: Collector) -> list[Object]:
    """The applications' SecretProviderClasses: provider, and how each signs in where; none where the kind is not there."""
    names = ("clientID", "usePodIdentity", "useVMManagedIdentity", "userAssignedIdentityID", "keyvaultName", "tenantId")

    def keep(item: Object) -> Object:
        parameters = at(item, "spec.parameters") or {}
        return {"provider": str(at(item, "spec.provider") or ""), **{key: parameters.get(key) for key in names}}

    path = "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses"
    return where_served(collector, path, "SecretProviderClasses", keep)


def read_vaults(collector: Collector) -> list[Object]:
    """The key vaults of the lab's group, and those that SecretProviderClasses name, without what they hold."""
    classes = collector.want("provider-classes")
    named = {str(c["keyvaultName"] or "").lower() for c in classes} if not isinstance(classes, Problem) else set()
    group = f"/resourcegroups/{collector.evidence.settings.resource_group.lower()}/"

    def keep(item: Object) -> Object | None:
        ours = group in str(item.get("id", "")).lower() or str(item.get("name", "")).lower() in named
        return {"id": item.get("id"), "name": item.get("name"), "properties": item.get("properties")} if ours else None

    path = f"/subscriptions/{collector.evidence.subscription_id}/providers/Microsoft.KeyVault/vaults"
    return bounded(collector.arm().pages(path, api_versions()["vaults"]), "key vaults", keep=keep)


def read_secret_settings(collector: Collector) -> list[Object]:
    """The applications' ConfigMaps that have a key of a name under which client secrets are given; names alone."""
    wanted = set(identity()["client_secrets"])

    def keep(item: Object) -> Object:
        return {"keys": sorted(wanted & set(item.get("data") or {}))}

    found = of_applications(collector, "/api/v1/configmaps", "ConfigMaps", keep)
    return [item for item in found if item["keys"]]


def read_pod_identity(collector: Collector) -> bool:
    """Whether the API server has the kinds of Entra pod-managed identity."""
    try:
        collector.kubernetes().get(f"/apis/{identity()['pod_identity_group']}")
    except ReadError as error:
        if error.missing:
            return False
        raise
    return True


def named(identities: list[Object], client_id: str) -> Object | None:
    """The identity of that client id."""
    return next((one for one in identities if same(one["clientId"], client_id)), None)


READERS: Mapping[str, Reader] = {
    "service-accounts": read_service_accounts,
    "identities": read_identities,
    "identity-roles": read_identity_roles,
    "provider-classes": read_provider_classes,
    "vaults": read_vaults,
    "secret-settings": read_secret_settings,
    "pod-identity": read_pod_identity,
}
"""Each source of workload identity, and how it is read."""
