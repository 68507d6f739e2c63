"""Step 6: a workspace apart for the control plane's logs, in a group of its own, and the setting that fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.azure import workspace
from labkit.azure.clients import Clients, there
from labkit.azure.resource_group import TAGS
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.monitor.v2021_05_01_preview.models import DiagnosticSettingsResource

LOGS = ("kube-audit-admin", "guard", "kube-controller-manager", "cluster-autoscaler")
"""What the baseline collects: who changed what, who signed in, what the controllers and the autoscaler did."""

METRICS = ("AllMetrics",)
"""The platform's metrics, beside the logs."""


def name(settings: Settings) -> str:
    """Name of the diagnostic setting."""
    return f"diag-{settings.cluster}"


def cluster_id(subscription_id: str, settings: Settings) -> str:
    """Resource id of the cluster, which the setting is on."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}/providers"
        f"/Microsoft.ContainerService/managedClusters/{settings.cluster}"
    )


def body(workspace_id: str) -> DiagnosticSettingsResource:
    """The setting: four categories and all metrics, into tables of their own kind."""
    from azure.mgmt.monitor.v2021_05_01_preview import models

    return models.DiagnosticSettingsResource(
        workspace_id=workspace_id,
        log_analytics_destination_type="Dedicated",
        logs=[models.LogSettings(category=category, enabled=True) for category in LOGS],
        metrics=[models.MetricSettings(category=category, enabled=True) for category in METRICS],
    )


def _workspace(clients: Clients, settings: Settings) -> Any:
    return there(clients.workspaces.workspaces.get, settings.audit_resource_group, settings.audit_workspace)


def _setting(clients: Clients, settings: Settings) -> Any:
    return there(clients.monitor.diagnostic_settings.get, cluster_id(clients.subscription_id, settings), name(settings))


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the workspace is there, and the setting that sends to it."""
    found = _workspace(clients, settings)
    setting = _setting(clients, settings) if found is not None else None
    return setting is not None and str(setting.workspace_id).lower() == str(found.id).lower()


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the group, the workspace and the setting that are not there."""
    group = settings.audit_resource_group
    if not clients.resources.resource_groups.check_existence(group):
        clients.resources.resource_groups.create_or_update(group, {"location": settings.region, "tags": TAGS})
    if _workspace(clients, settings) is None:
        poller = clients.workspaces.workspaces.begin_create_or_update(
            group, settings.audit_workspace, workspace.body(settings)
        )
        wait(poller, f"Creating the workspace {settings.audit_workspace}")
    if not exists(clients, settings):
        found = _workspace(clients, settings)
        scope = cluster_id(clients.subscription_id, settings)
        clients.monitor.diagnostic_settings.create_or_update(scope, name(settings), body(found.id))
