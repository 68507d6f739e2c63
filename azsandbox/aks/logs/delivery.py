"""Brings the logs of the clusters that run to where their diagnostic settings want them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from azsandbox.aks.logs import metrics
from azsandbox.aks.logs.control_plane import ControlPlaneLogs
from azsandbox.aks.logs.settings import routes

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster
    from azsandbox.loganalytics.ingestion import Ingestion


class Delivery:
    """The logs of all clusters of a Resource Manager."""

    def __init__(self, arm: Any, ingestion: Ingestion) -> None:
        self.arm, self.ingestion = arm, ingestion
        self._logs: dict[str, ControlPlaneLogs] = {}

    def refresh(self, cluster: Cluster) -> None:
        """Has a cluster log what its settings say now. Clusters that are not managed are passed over."""
        resource_id = str(cluster.options.get("resource_id") or "")
        if not resource_id:
            return
        logs = self._logs.get(cluster.name)
        if logs is None or logs.cluster is not cluster:
            logs = self._logs[cluster.name] = ControlPlaneLogs(self.arm, cluster, resource_id, self.ingestion)
        logs.apply(routes(self.arm, resource_id))

    def refresh_all(self) -> None:
        """Has every cluster that runs do so."""
        running = self.arm.services.clusters.running()
        for cluster in running:
            self.refresh(cluster)
        names = {cluster.name for cluster in running}
        self._logs = {name: logs for name, logs in self._logs.items() if name in names}

    async def measure(self) -> None:
        """Writes metrics, minute by minute, until cancelled."""
        clock = self.arm.services.clock
        while True:
            await asyncio.gather(clock.sleep(metrics.PERIOD), asyncio.sleep(metrics.LEAST))
            for logs in list(self._logs.values()):
                await metrics.measure(logs)
