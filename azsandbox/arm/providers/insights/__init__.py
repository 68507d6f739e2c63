"""Microsoft.Insights: diagnostic settings and the data collection rules that AKS monitoring needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.insights.data_collection import DataCollectionRuleAssociations, DataCollectionRules
from azsandbox.arm.providers.insights.diagnostic_settings import Categories, DiagnosticSettings
from azsandbox.arm.resources import COLLECTION

if TYPE_CHECKING:
    from azsandbox.aks.logs.delivery import Delivery
    from azsandbox.cluster import Cluster

__all__ = ["Insights"]

_SETTING = "/microsoft.containerservice/managedclusters/", "/providers/microsoft.insights/diagnosticsettings/"
_WORKSPACE = "/providers/microsoft.operationalinsights/workspaces/"


class Insights(Provider):
    """The namespace Microsoft.Insights. Metrics and alerts are refused by name."""

    namespace = "Microsoft.Insights"

    def __init__(self) -> None:
        super().__init__([DiagnosticSettings(), Categories(), DataCollectionRules(), DataCollectionRuleAssociations()])
        self._delivery: Delivery | None = None
        self._wanted = asyncio.Event()

    def prepare(self, arm: Any) -> None:
        """Has every cluster that starts look whether its logs are wanted."""
        clusters = arm.services.clusters
        if clusters is not None:
            clusters.configure.append(lambda cluster: self._starting(arm, cluster))

    def _starting(self, arm: Any, cluster: Cluster) -> None:
        id_ = str(cluster.options.get("resource_id") or "")
        if id_ and arm.resources.children(id_, f"{self.namespace}/diagnosticSettings"):
            self._deliver(arm).refresh(cluster)

    def _deliver(self, arm: Any) -> Delivery:
        """What delivers logs, made when a setting first wants some."""
        if self._delivery is None:
            from azsandbox.aks.logs.delivery import Delivery

            self._delivery = Delivery(arm, arm.provider("Microsoft.OperationalInsights").ingestion(arm))
            self._wanted.set()
        return self._delivery

    async def run(self, arm: Any) -> None:
        """Follows diagnostic settings of clusters, and the workspaces that they name."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(arm), name="diagnostic settings")
            group.create_task(self._measure(), name="platform metrics")

    async def _follow(self, arm: Any) -> None:
        watch = arm.services.store.watch(COLLECTION)
        try:
            async for event in watch:
                is_setting = all(part in event.key for part in _SETTING)
                if is_setting or (self._delivery is not None and _WORKSPACE in event.key):
                    self._deliver(arm).refresh_all()
        finally:
            watch.close()

    async def _measure(self) -> None:
        await self._wanted.wait()
        if self._delivery is not None:
            await self._delivery.measure()
