"""Which categories of a managed cluster's logs and metrics its diagnostic settings send to which workspaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azsandbox.arm.providers.insights.diagnostic_settings import categories, groups_of

SETTINGS = "Microsoft.Insights/diagnosticSettings"
CLUSTERS = "Microsoft.ContainerService/managedClusters"


@dataclass(frozen=True)
class Destination:
    """A workspace, by its customer id, and whether its rows go to tables of their own kind."""

    workspace: str
    dedicated: bool


Routes = dict[str, tuple[Destination, ...]]  # category → where it goes


def routes(arm: Any, cluster_id: str) -> Routes:
    """The routes of a cluster; empty where nobody listens."""
    found: dict[str, list[Destination]] = {}
    known = categories(CLUSTERS) or {}
    for setting in arm.resources.children(cluster_id, SETTINGS):
        properties = setting.properties
        workspace = arm.resources.get(properties["workspaceId"]) if properties.get("workspaceId") else None
        if workspace is None:
            continue
        dedicated = str(properties.get("logAnalyticsDestinationType") or "").lower() == "dedicated"
        to = Destination(workspace.properties["customerId"], dedicated)
        for entry in [*properties["logs"], *properties["metrics"]]:
            if not entry["enabled"]:
                continue
            group = entry.get("categoryGroup")
            names = (
                [n for n in known["Logs"] if group.lower() in map(str.lower, groups_of(n))]
                if group
                else [entry["category"]]
            )
            for name in names:
                if to not in found.setdefault(name, []):
                    found[name].append(to)
    return {name: tuple(to) for name, to in found.items()}
