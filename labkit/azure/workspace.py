"""Step 3: the Log Analytics workspace that the cluster's logs go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.azure.clients import Clients
from labkit.checks.evidence import workspace_path
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.loganalytics.models import Workspace


def body(settings: Settings) -> Workspace:
    """A workspace that is paid by the gigabyte and keeps logs for the days of the settings."""
    from azure.mgmt.loganalytics import models

    return models.Workspace(
        location=settings.region,
        properties=models.WorkspaceProperties(
            sku=models.WorkspaceSku(name="PerGB2018"), retention_in_days=settings.retention_days
        ),
    )


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the workspace is there."""
    path = workspace_path(clients.subscription_id, settings.resource_group, settings.workspace)
    return clients.found(path, "workspaces") is not None


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the workspace if it is not there."""
    if not exists(clients, settings):
        poller = clients.workspaces.workspaces.begin_create_or_update(
            settings.resource_group, settings.workspace, body(settings)
        )
        wait(poller, f"Creating the workspace {settings.workspace}")
