"""The service's data plane: what the agent of a cluster takes from Azure, and tells it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azsandbox.arm.operations import when
from azsandbox.arm.resources import COLLECTION, Document, Stored, timestamp
from azsandbox.clock import Clock
from azsandbox.store import Watch

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

PROVIDER = "Microsoft.KubernetesConfiguration"
FLUX_CONFIGURATIONS = f"{PROVIDER}/fluxConfigurations"
EXTENSIONS = f"{PROVIDER}/extensions"
REFRESH = 600.0  # seconds after which the status is told again though nothing changed


@dataclass(frozen=True)
class Configuration:
    """A Flux configuration as the agent gets it. `operation` is the id of the one under way, "" when none is."""

    name: str
    properties: Document
    protected: dict[str, Any]
    operation: str
    deleting: bool


@dataclass(frozen=True)
class Report:
    """What the agent tells of a configuration: the reported properties, and how its last operation went."""

    properties: Document
    operation: str
    state: str  # Succeeded, Failed, or anything else while it goes on
    message: str = ""


class DataPlane:
    """Of one managed cluster."""

    def __init__(self, arm: Arm, cluster_id: str) -> None:
        self.arm, self.cluster_id = arm, cluster_id

    @property
    def clock(self) -> Clock:
        """The sandbox's clock, by which waits of Azure's pass."""
        return self.arm.services.clock

    def serves(self) -> bool:
        """Whether there is an extension for whose agent configurations are; none is handed out while it is deleted."""
        return any(
            found.properties["extensionType"].lower() == "microsoft.flux" and found.state != "Deleting"
            for found in self.arm.resources.children(self.cluster_id, EXTENSIONS)
        )

    def names(self) -> list[str]:
        """Names of the configurations."""
        return [s.name for s in self.arm.resources.children(self.cluster_id, FLUX_CONFIGURATIONS)]

    def configuration(self, name: str) -> Configuration | None:
        """A configuration, or None where Azure has none of that name."""
        stored = self._stored(name)
        if stored is None:
            return None
        running = self.arm.operations.of(stored.id)
        deletion = next((o for o in running if o.kind == "delete"), None)
        operation = deletion or next(iter(running), None)
        return Configuration(
            stored.name,
            stored.properties,
            stored.private.get("protected") or {},
            operation.id if operation else "",
            deletion is not None,
        )

    def watch(self) -> Watch:
        """Changes of whatever sits on the cluster; close it when done."""
        return self.arm.services.store.watch(COLLECTION, f"{self.cluster_id.lower()}/providers/{PROVIDER.lower()}/")

    def report(self, name: str, report: Report) -> bool:
        """Takes a report into the configuration; returns whether it told anything new."""
        stored = self._stored(name)
        if stored is None:
            return False
        told = {"operation": report.operation, "state": report.state, "message": report.message}
        fresh = any(stored.properties.get(key) != value for key, value in report.properties.items())
        if not fresh and stored.private.get("report") == told and not self._stale(stored):
            return False
        stored.properties.update(report.properties)
        stored.properties["statusUpdatedAt"] = timestamp(self.clock).removesuffix("Z") + "+00:00"
        stored.private["report"] = told
        ended = report.state in ("Succeeded", "Failed") and not self.arm.operations.of(stored.id)
        if ended and stored.state in ("Succeeded", "Failed"):
            stored.properties["provisioningState"] = report.state
            stored.properties["errorMessage"] = report.message if report.state == "Failed" else ""
        self.arm.resources.put(stored, touch=False)
        return True

    def withdrawn(self, name: str) -> None:
        """The agent has taken the configuration out of the cluster."""
        stored = self._stored(name)
        if stored is not None and not stored.private.get("withdrawn"):
            stored.private["withdrawn"] = True
            self.arm.resources.put(stored, touch=False)

    def _stored(self, name: str) -> Stored | None:
        return self.arm.resources.get(f"{self.cluster_id}/providers/{FLUX_CONFIGURATIONS}/{name}")

    def _stale(self, stored: Stored) -> bool:
        last = stored.properties.get("statusUpdatedAt")
        return last is None or self.clock.now() - when(last) > dt.timedelta(seconds=REFRESH)
