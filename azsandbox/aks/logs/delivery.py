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
        self._measured = asyncio.Event()  # somebody new wants metrics

    def refresh(self, cluster: Cluster) -> None:
        """Has a cluster log what its settings say now. Clusters that are not managed are passed over."""
        resource_id = str(cluster.options.get("resource_id") or "")
        if not resource_id:
            return
        logs = self._logs.get(cluster.name)
        if logs is None or logs.cluster is not cluster:
            logs = self._logs[cluster.name] = ControlPlaneLogs(self.arm, cluster, resource_id, self.ingestion)
        before = logs.routes.get("AllMetrics")
        logs.apply(routes(self.arm, resource_id))
        if logs.routes.get("AllMetrics") not in (None, before):
            self._measured.set()

    def refresh_all(self) -> None:
        """Has every cluster that runs do so."""
        running = self.arm.services.clusters.running()
        for cluster in running:
            self.refresh(cluster)
        names = {cluster.name for cluster in running}
        self._logs = {name: logs for name, logs in self._logs.items() if name in names}

    async def measure(self) -> None:
        """Writes metrics until cancelled: minute by minute, and as soon as a setting newly wants some."""
        while True:
            self._measured.clear()
            for logs in list(self._logs.values()):
                await metrics.measure(logs)
            ways = [asyncio.ensure_future(self._minute()), asyncio.ensure_future(self._measured.wait())]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()

    async def _minute(self) -> None:
        await asyncio.gather(self.arm.services.clock.sleep(metrics.PERIOD), asyncio.sleep(metrics.LEAST))
