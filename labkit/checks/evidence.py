"""What the checks look at: the sources that were read, beside what the lab's settings expect.

`labkit.checks.collector` reads them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from labkit.checks.core import Status, Unread
from labkit.checks.lookup import at
from labkit.settings import Settings

LIMIT = 20_000
"""Objects kept of one list; a cluster with more is reported as not known, rather than judged by a part."""

SYSTEM_NAMESPACES = ("kube-system", "calico-system", "tigera-operator", "gatekeeper-system")

Object = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Why a source was not read, and what that makes of the checks that need it."""

    status: Status
    reason: str
    object_id: str = ""
    next_command: str = ""


@dataclass
class Evidence:
    """What was read, beside what the lab's settings expect; all that a check may look at."""

    settings: Settings
    now: datetime
    profile: str = "modern"
    subscription_id: str = ""
    sources: dict[str, Any] = field(default_factory=dict)

    def read(self, source: str) -> Any:
        """What `source` holds. Raises Unread, which `core.run` turns into unknown or skip."""
        value = self.sources.get(source, Problem(Status.UNKNOWN, f"{source} was not read"))
        if isinstance(value, Problem):
            raise Unread(value.status, value.reason, value.object_id, value.next_command)
        return value

    def maybe(self, source: str) -> Any:
        """What `source` holds, or None if it could not be read: for evidence that only confirms."""
        value = self.sources.get(source)
        return None if isinstance(value, Problem) else value

    def problem(self, source: str) -> Problem | None:
        """Why `source` was not read, or None."""
        value = self.sources.get(source)
        return value if isinstance(value, Problem) else None

    @property
    def cluster(self) -> Object:
        """The managed cluster as Azure answers it."""
        found: Object = self.read("cluster")
        return found

    @property
    def pools(self) -> list[Object]:
        """The cluster's node pools."""
        return list(at(self.cluster, "properties.agentPoolProfiles") or [])

    @property
    def cluster_id(self) -> str:
        """Resource id of the cluster, from what was read or from the settings; without Azure, what it is called."""
        if not self.subscription_id:
            return self.settings.context or self.settings.cluster
        return str(at(self.maybe("cluster"), "id") or cluster_path(self.subscription_id, self.settings))

    def pool_id(self, pool: Object) -> str:
        """Resource id of a pool of the cluster."""
        return f"{self.cluster_id}/agentPools/{pool.get('name')}"

    @property
    def names(self) -> dict[str, str]:
        """What stands in a check's texts for <cluster>, <group> and the like."""
        return {
            "cluster": self.settings.cluster,
            "group": self.settings.resource_group,
            "region": self.settings.region,
            "vnet": self.settings.vnet,
            "subnet": self.settings.cluster_subnet,
            "aci-subnet": self.settings.aci_subnet,
            "system-pool": self.settings.system_pool.name,
            "user-pool": self.settings.user_pool.name,
            "cluster-id": self.cluster_id,
            "group-id": f"/subscriptions/{self.subscription_id}/resourceGroups/{self.settings.resource_group}",
            "workspace": self.settings.workspace,
            "audit-group": self.settings.audit_resource_group,
            "audit-workspace": self.settings.audit_workspace,
            "audit-workspace-id": workspace_path(
                self.subscription_id, self.settings.audit_resource_group, self.settings.audit_workspace
            ),
            "registry": self.settings.registry,
            "registry-group": self.settings.registry_resource_group,
            "registry-id": registry_path(self.subscription_id, self.settings),
            "namespace": next(iter(self.settings.application_namespaces), "default"),
        }


def cluster_path(subscription_id: str, settings: Settings) -> str:
    """Resource id of the lab's cluster."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}"
        f"/providers/Microsoft.ContainerService/managedClusters/{settings.cluster}"
    )


def workspace_path(subscription_id: str, group: str, name: str) -> str:
    """Resource id of a Log Analytics workspace."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{group}"
        f"/providers/Microsoft.OperationalInsights/workspaces/{name}"
    )


def registry_path(subscription_id: str, settings: Settings) -> str:
    """Resource id of the lab's container registry."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{settings.registry_resource_group}"
        f"/providers/Microsoft.ContainerRegistry/registries/{settings.registry}"
    )


@cache
def api_versions() -> dict[str, str]:
    """The api-version to read each type with (data/api-versions.toml)."""
    text = resources.files("labkit").joinpath("data/api-versions.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["versions"])


def network_of(subnet_id: object) -> str:
    """Resource id of the network that a subnet is in, or empty."""
    text = str(subnet_id or "")
    position = text.lower().find("/subnets/")
    return text[:position] if position > 0 else ""
