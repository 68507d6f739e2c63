"""Defender for Containers: the subscription's plan, and the sensor in the cluster, which tells the lab's workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.azure.clients import Clients
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import ManagedCluster, ManagedClusterSecurityProfileDefender

API_VERSION = "2024-01-01"
"""Of Microsoft.Security/pricings (azure-rest-api-specs, stable in August 2026)."""

NOTE = ".labkit/defender-before.json"
"""Beside lab.toml: what the plan was before the lab changed it."""

EXTENSIONS = (
    "ContainerRegistriesVulnerabilityAssessments",
    "AgentlessDiscoveryForKubernetes",
    "ContainerSensor",
    "ContainerIntegrityContribution",
)
"""What the lab switches on of the plan; scanning of the nodes' disks stays off, since the nodes are AKS's."""


def plan_id(subscription_id: str) -> str:
    """Resource id of the plan, which is there on every subscription."""
    return f"/subscriptions/{subscription_id}/providers/Microsoft.Security/pricings/Containers"


def plan() -> dict[str, Any]:
    """The body that switches the plan on, with the extensions that the lab wants and the others off."""
    extensions = [{"name": name, "isEnabled": "True"} for name in EXTENSIONS]
    extensions.append({"name": "AgentlessVmScanning", "isEnabled": "False"})
    return {"properties": {"pricingTier": "Standard", "extensions": extensions}}


def workspace_id(subscription_id: str, settings: Settings) -> str:
    """Resource id of the workspace that the sensor tells."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}/providers"
        f"/Microsoft.OperationalInsights/workspaces/{settings.workspace}"
    )


def sensor(workspace: str) -> ManagedClusterSecurityProfileDefender:
    """The sensor, on, with the workspace of that id."""
    from azure.mgmt.containerservice import models

    return models.ManagedClusterSecurityProfileDefender(
        log_analytics_workspace_resource_id=workspace,
        security_monitoring=models.ManagedClusterSecurityProfileDefenderSecurityMonitoring(enabled=True),
    )


def watches(cluster: ManagedCluster) -> bool:
    """True if the sensor of a cluster is on."""
    profile = cluster.properties.security_profile if cluster.properties else None
    monitoring = profile.defender.security_monitoring if profile and profile.defender else None
    return bool(monitoring and monitoring.enabled)


def _cluster(clients: Clients, settings: Settings) -> ManagedCluster:
    return clients.containers.managed_clusters.get(settings.resource_group, settings.cluster)


def _is_on(clients: Clients) -> bool:
    found = clients.resources.resources.get_by_id(plan_id(clients.subscription_id), api_version=API_VERSION)
    return str((found.properties or {}).get("pricingTier")) == "Standard"


def keep(clients: Clients, settings: Settings) -> None:
    """Note what the plan is before the lab changes it, for lesson 52, unless it is noted already."""
    home = (settings.path or Path("lab.toml")).resolve().parent
    note = home / NOTE
    if not note.exists():
        found = clients.resources.resources.get_by_id(plan_id(clients.subscription_id), api_version=API_VERSION)
        note.parent.mkdir(exist_ok=True)
        was = found.properties or {}
        note.write_text(json.dumps({key: was[key] for key in ("pricingTier", "extensions") if key in was}))


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the plan and the sensor are on."""
    return _is_on(clients) and watches(_cluster(clients, settings))


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Switch on the plan and the sensor, where they are off."""
    from azure.mgmt.containerservice import models

    if not _is_on(clients):
        id_ = plan_id(clients.subscription_id)
        keep(clients, settings)
        wait(
            clients.resources.resources.begin_create_or_update_by_id(id_, plan(), api_version=API_VERSION),
            "Switching on Defender for Containers",
        )
    cluster = _cluster(clients, settings)
    if not watches(cluster):
        assert cluster.properties is not None
        profile = cluster.properties.security_profile or models.ManagedClusterSecurityProfile()
        profile.defender = sensor(workspace_id(clients.subscription_id, settings))
        cluster.properties.security_profile = profile
        clusters = clients.containers.managed_clusters
        wait(
            clusters.begin_create_or_update(settings.resource_group, settings.cluster, cluster),
            "Bringing the sensor to the nodes",
        )
