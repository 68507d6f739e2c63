"""Step 9: the container registry, in a group that outlives the cluster, and the right of the nodes to pull from it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from labkit.azure.clients import Clients
from labkit.checks.evidence import cluster_path
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.containerregistry.models import Registry

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
"""AcrPull (Azure built-in roles)."""


def body(settings: Settings) -> Registry:
    """A registry of the Standard tier, without the admin user and without anonymous pull."""
    from azure.mgmt.containerregistry import models

    properties = models.RegistryProperties(admin_user_enabled=False, anonymous_pull_enabled=False)
    return models.Registry(location=settings.region, sku=models.Sku(name="Standard"), properties=properties)


def registry_id(subscription_id: str, settings: Settings) -> str:
    """Resource id of the registry."""
    group = f"/subscriptions/{subscription_id}/resourceGroups/{settings.registry_resource_group}"
    return f"{group}/providers/Microsoft.ContainerRegistry/registries/{settings.registry}"


def kubelet(clients: Clients, settings: Settings) -> str:
    """Object id of the identity that the nodes pull images with."""
    cluster = clients.found(cluster_path(clients.subscription_id, settings), "managedClusters") or {}
    return str(cluster["properties"]["identityProfile"]["kubeletidentity"]["objectId"])


def _is_there(clients: Clients, settings: Settings) -> bool:
    return clients.found(registry_id(clients.subscription_id, settings), "registries") is not None


def _pulls(clients: Clients, settings: Settings) -> bool:
    at, who = registry_id(clients.subscription_id, settings), kubelet(clients, settings)
    found = clients.authorization.role_assignments.list_for_scope(at, filter=f"principalId eq '{who}'")
    return any(a.role_definition_id.endswith(ACR_PULL) for a in found)


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the registry is there and the nodes may pull from it."""
    return _is_there(clients, settings) and _pulls(clients, settings)


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the group, the registry and the role assignment that are not there."""
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    from labkit.azure.resource_group import TAGS

    group = settings.registry_resource_group
    if not clients.resources.resource_groups.check_existence(group):
        clients.resources.resource_groups.create_or_update(group, {"location": settings.region, "tags": TAGS})
    if not _is_there(clients, settings):
        poller = clients.registries.registries.begin_create(group, settings.registry, body(settings))
        wait(poller, f"Creating the registry {settings.registry}")
    if not _pulls(clients, settings):
        role = f"/subscriptions/{clients.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{ACR_PULL}"
        parameters = RoleAssignmentCreateParameters(
            role_definition_id=role, principal_id=kubelet(clients, settings), principal_type="ServicePrincipal"
        )
        at = registry_id(clients.subscription_id, settings)
        clients.authorization.role_assignments.create(at, str(uuid.uuid4()), parameters)
