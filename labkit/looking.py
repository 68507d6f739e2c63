"""What a lab shows of Azure and of its cluster: tables, live tables, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.access import Access
from labkit.errors import ReadError

if TYPE_CHECKING:
    from labkit.views.diagram import Diagram
    from labkit.views.live import LiveView
    from labkit.views.table import Row, Table


class Looking(Access):
    """Views of what is there, as it is now or as it changes."""

    def table(self, rows: Iterable[Mapping[str, object]], title: str = "", columns: Sequence[str] = ()) -> Table:
        """`rows` (mappings of column to value) as a table; the last expression of a cell shows it."""
        from labkit.views.table import Table

        return Table.of(rows, columns, title)

    def logs(self, answer: Any, title: str = "") -> Table:
        """The rows of a table that azure-monitor-query answered, as a table; of times the second is shown.

        `answer` is a LogsQueryResult, of which the first table is shown, or a LogsTable.
        """
        from labkit.views import rows

        found = answer.tables[0] if hasattr(answer, "tables") else answer
        return self.table(map(rows.log(found.columns), found.rows), title, found.columns)

    def resources(self) -> Table:
        """What is in the lab's resource group."""
        from labkit.checks.evidence import api_versions
        from labkit.views import rows

        path = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.settings.resource_group}/resources"
        try:
            found = self.arm.list(path, api_versions()["resources"])
        except ReadError as error:
            if not error.missing:
                raise
            found = []
        return self.table(map(rows.resource, found), f"Resources in {self.settings.resource_group}")

    def subnets(self) -> Table:
        """The subnets of the lab's network: range, delegation, state."""
        from labkit.checks.evidence import api_versions
        from labkit.views import rows

        path = (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.settings.resource_group}"
            f"/providers/Microsoft.Network/virtualNetworks/{self.settings.vnet}"
        )
        network = self.arm.get(path, api_versions()["virtualNetworks"])
        return self.table(
            map(rows.subnet, network["properties"].get("subnets") or []), f"Subnets of {self.settings.vnet}"
        )

    def pools(self) -> Table:
        """The cluster's node pools as Azure has them."""
        from labkit.views import rows

        profiles = self.cluster()["properties"].get("agentPoolProfiles") or []
        return self.table(map(rows.agent_pool, profiles), f"Node pools of {self.settings.cluster}")

    def cluster(self) -> dict[str, Any]:
        """The managed cluster as Azure answers it, with the keys of the REST documentation."""
        from labkit.checks.evidence import api_versions, cluster_path

        return self.arm.get(cluster_path(self.subscription_id, self.settings), api_versions()["managedClusters"])

    def nodes(self) -> Table:
        """The nodes as they are now: pool, zone, readiness, taints, version."""
        from labkit.views import rows

        return self._listed("/api/v1/nodes", rows.node, "Nodes")

    def pods(self, namespace: str = "", selector: str = "") -> Table:
        """Pods as they are now, with the reason of those that have no node."""
        from labkit.views import rows

        return self._listed(_pods(namespace, selector), rows.pod, _pods_title(namespace, selector))

    def events(self, namespace: str = "default") -> Table:
        """The events of a namespace as they are now, the last one last."""
        from labkit.views import rows

        path, title = f"/api/v1/namespaces/{namespace}/events", f"Events in {namespace}"
        return self._listed(path, rows.event, title, order=rows.event_time)

    def _listed(
        self,
        path: str,
        row: Callable[[Mapping[str, Any]], Row],
        title: str,
        order: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> Table:
        items = [item for page in self.kubernetes().pages(path) for item in page]
        return self.table(map(row, sorted(items, key=order) if order else items), title)

    def watch(self, path: str, row: Callable[[Mapping[str, Any]], Row], title: str, *, minutes: float = 30) -> LiveView:
        """A table of the list at `path` of the Kubernetes API that follows it until `.stop()`.

        `row` turns an object into a row; `labkit.views.rows` has those of nodes, pods and events.
        """
        from labkit.views.live import LiveView

        return LiveView(self.kubernetes(), path, row, title, minutes=minutes)

    def watch_nodes(self) -> LiveView:
        """A table of the nodes that follows them until `.stop()`."""
        from labkit.views import rows

        return self.watch("/api/v1/nodes", rows.node, "Nodes")

    def watch_pods(self, namespace: str = "", selector: str = "") -> LiveView:
        """A table of pods that follows them until `.stop()`."""
        from labkit.views import rows

        return self.watch(_pods(namespace, selector), rows.pod, _pods_title(namespace, selector))

    def diagram(self) -> Diagram:
        """The node pools as a picture, with the same in words."""
        from labkit.views import diagram

        nodes = [item for page in self.kubernetes().pages("/api/v1/nodes") for item in page]
        return diagram.pools(self.cluster(), nodes)


def _pods(namespace: str, selector: str) -> str:
    from urllib.parse import quote

    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    return f"{path}?labelSelector={quote(selector)}" if selector else path


def _pods_title(namespace: str, selector: str) -> str:
    where = f" in {namespace}" if namespace else ""
    return f"Pods{where}{f' with {selector}' if selector else ''}"
