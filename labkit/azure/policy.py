"""Part 2 of the series: the policy add-on, and three policies that the cluster's group must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.azure.clients import Clients
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.resource.policy.models import PolicyAssignment

ADDON = "azurepolicy"
BUILT_IN = "/providers/Microsoft.Authorization/policyDefinitions"
SERIES = {
    "no-privileged-containers": "95edb821-ddaf-4404-9732-666045e056b4",
    "no-privilege-escalation": "1c6e92c9-99f0-4e55-9cf2-0c234dc48f99",
    "allowed-images": "febd0533-8e55-448f-b837-bd0e06f16469",
}
"""The three assignments of the series by name, each with its built-in definition (Azure/azure-policy at f4a50ba)."""
EXCLUDED = (
    *("kube-system", "gatekeeper-system", "azure-arc", "azure-extensions-usage-system"),
    *("calico-system", "tigera-operator", "flux-system", "kured"),
)
"""Namespaces of the platform: those that the definitions leave out, Calico's, Flux's, and Kured's, which reboots nodes."""


def scope(subscription_id: str, settings: Settings) -> str:
    """Where the policies hold: the cluster's group."""
    return f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}"


def images(settings: Settings) -> str:
    """The pattern of images that may run: of the lab's registry, and of Microsoft's."""
    return rf"^{settings.registry}\.azurecr\.io/.+$|^mcr\.microsoft\.com/.+$"


def body(settings: Settings) -> dict[str, PolicyAssignment]:
    """The three assignments by name; each denies, and leaves out the platform's namespaces."""
    from azure.mgmt.resource.policy import models

    found = {}
    for name, definition in SERIES.items():
        values: dict[str, Any] = {"effect": "Deny", "excludedNamespaces": list(EXCLUDED)}
        if name == "allowed-images":
            values["allowedContainerImagesRegex"] = images(settings)
        parameters = {key: models.ParameterValuesValue(value=value) for key, value in values.items()}
        properties = models.PolicyAssignmentProperties(
            display_name=name.replace("-", " ").capitalize(),
            policy_definition_id=f"{BUILT_IN}/{definition}",
            parameters=parameters,
        )
        found[name] = models.PolicyAssignment(properties=properties)
    return found


def _is_on(cluster: Any) -> bool:
    addons = {key.lower(): value for key, value in (cluster.properties.addon_profiles or {}).items()}
    return ADDON in addons and bool(addons[ADDON].enabled)


def _assigned(clients: Clients, settings: Settings) -> set[str]:
    found = clients.policies.policy_assignments.list_for_resource_group(
        settings.resource_group, filter="atExactScope()"
    )
    return {str(assignment.name) for assignment in found}


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the add-on is on, and the three policies are assigned to the group."""
    cluster = clients.containers.managed_clusters.get(settings.resource_group, settings.cluster)
    return _is_on(cluster) and set(SERIES) <= _assigned(clients, settings)


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Switch the add-on on, and assign what of the three is not assigned; the cluster hears of it later."""
    from azure.mgmt.containerservice.models import ManagedClusterAddonProfile

    group, name = settings.resource_group, settings.cluster
    cluster = clients.containers.managed_clusters.get(group, name)
    if not _is_on(cluster):
        properties: Any = cluster.properties
        properties.addon_profiles = {
            **(properties.addon_profiles or {}),
            ADDON: ManagedClusterAddonProfile(enabled=True),
        }
        poller = clients.containers.managed_clusters.begin_create_or_update(group, name, cluster)
        wait(poller, "Switching the policy add-on on")
    assigned = _assigned(clients, settings)
    where = scope(clients.subscription_id, settings)
    for key, assignment in body(settings).items():
        if key not in assigned:
            clients.policies.policy_assignments.create(where, key, assignment)
