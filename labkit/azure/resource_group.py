"""Step 1: the providers and the resource group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.azure.clients import Clients
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.resource.resources.models import ResourceGroup

PROVIDERS = (
    "Microsoft.Compute",
    "Microsoft.ContainerService",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.OperationsManagement",
)
"""Resource providers that part 1 needs registered."""

FEATURES = (("Microsoft.Compute", "EncryptionAtHost"),)
"""Features that part 1 needs registered, as provider and name."""

TAGS = {"purpose": "aks-baseline-lab"}
"""What every group of the lab carries, so that clean-up can prove that none is left."""


def body(settings: Settings) -> ResourceGroup:
    """The resource group: a region and a tag."""
    from azure.mgmt.resource.resources.models import ResourceGroup

    return ResourceGroup(location=settings.region, tags=dict(TAGS))


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the group is there."""
    return bool(clients.resources.resource_groups.check_existence(settings.resource_group))


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Register what is not registered, and make the group if it is not there."""
    for namespace in PROVIDERS:
        provider = clients.resources.providers.get(namespace)
        if provider.registration_state != "Registered":
            clients.resources.providers.register(namespace)
    register_features(clients)
    if not exists(clients, settings):
        clients.resources.resource_groups.create_or_update(settings.resource_group, body(settings))


def register_features(clients: Clients) -> None:
    """Ask for the features that are not registered; Azure may take some minutes over it."""
    from azure.core.rest import HttpRequest

    for namespace, feature in FEATURES:
        path = (
            f"/subscriptions/{clients.subscription_id}/providers/Microsoft.Features/providers/{namespace}"
            f"/features/{feature}"
        )
        request = HttpRequest("POST", f"https://management.azure.com{path}/register?api-version=2021-07-01")
        clients.resources.send_request(request).raise_for_status()
