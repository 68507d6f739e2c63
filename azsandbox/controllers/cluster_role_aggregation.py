"""ClusterRoles that collect the rules of others by label.

Source of the rules: Kubernetes 1.35, pkg/controller/clusterroleaggregation.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import labels_of, name_of
from azsandbox.kubernetes.selectors import from_object

MANAGER = "clusterrole-aggregation-controller"


class ClusterRoleAggregationController(Controller):
    """Fills in the rules of ClusterRoles that have an aggregationRule."""

    name = MANAGER

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.roles = informers.of("rbac.authorization.k8s.io/v1", "clusterroles")
        self.roles.on_change(self._changed)

    def _changed(self, kind: str, role: Object, old: Object | None) -> None:
        """Any role may be part of any that aggregates."""
        for key, aggregating in self.roles.objects.items():
            if aggregating.get("aggregationRule"):
                self.queue.add(key)

    async def reconcile(self, key: str) -> None:
        role = self.roles.get(key)
        if role is None or not role.get("aggregationRule"):
            return
        rules: list[Object] = []
        for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
            matches = from_object(selector)
            for part in sorted(self.roles.objects.values(), key=name_of):
                if name_of(part) != name_of(role) and matches.matches_labels(labels_of(part)):
                    rules += [rule for rule in part.get("rules") or () if rule not in rules]
        if rules == (role.get("rules") or []):
            return
        applied: Object = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name_of(role)},
        }
        if rules:  # without any it gives up its own, and leaves what others wrote
            applied["rules"] = rules
        await self.client.apply(
            path("rbac.authorization.k8s.io/v1", "clusterroles", "", name_of(role)), applied, MANAGER
        )
