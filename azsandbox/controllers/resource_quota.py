"""The status of ResourceQuotas: what is used of them.

Source of the rules: Kubernetes 1.35, pkg/controller/resourcequota.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.informer import Controller, Informer, Informers, key_of
from azsandbox.controllers.objects import namespace_of
from azsandbox.controllers.pods import is_terminal
from azsandbox.controllers.resource_usage import CORE, Usage, add, in_scopes, resource_of, scopes_of, usage_of
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.quantity import Quantity

RESYNC = 300.0  # seconds after which a quota is counted again in any case
_SETTLE = 0.05  # seconds for the caches to see what admission has counted


class ResourceQuotaController(Controller):
    """Counts what is used. Admission adds what is made; this takes off what is gone."""

    name = "resourcequota-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.quotas = informers.of("v1", "resourcequotas")
        self.quotas.on_change(self._quota_changed)
        self._counted: dict[tuple[str, str], Informer | None] = {}  # group and plural → cache
        for resource in CORE:
            self._follow("", resource, informers.of("v1", resource))

    def _quota_changed(self, kind: str, quota: Object, old: Object | None) -> None:
        if kind == "ADDED" or (old is not None and old["spec"] != quota["spec"]):
            self.queue.add(key_of(quota))

    def _follow(self, group: str, resource: str, informer: Informer) -> None:
        def changed(kind: str, obj: Object, old: Object | None) -> None:
            if kind == "DELETED" or (kind == "MODIFIED" and old is not None and _frees(group, resource, obj, old)):
                for key in self.quotas.by_namespace.get(namespace_of(obj), {}):
                    self.queue.add_after(key, _SETTLE)

        self._counted[group, resource] = informer
        informer.on_change(changed)

    async def reconcile(self, key: str) -> None:
        quota = self.quotas.get(key)
        if quota is None:
            return
        hard = quota["spec"].get("hard") or {}
        used = await self._usage(quota, list(hard))
        status = quota.get("status") or {}
        before = status.get("used") or {}
        same = status.get("hard") == hard and before.keys() == used.keys()
        if not same or any(Quantity.parse(before[name]) != amount for name, amount in used.items()):
            changed = {"hard": hard, "used": {name: str(amount) for name, amount in used.items()}}
            await self.writes.status(self.quotas, quota, changed)
        self.queue.add_after(key, RESYNC)

    async def _usage(self, quota: Object, names: list[str]) -> Usage:
        """What is used of the names that a quota limits; a name that counts nothing known keeps its value."""
        known = (quota.get("status") or {}).get("used") or {}
        by_resource: dict[tuple[str, str], list[str]] = {}
        used: Usage = {}
        for name in names:
            group, resource = resource_of(name)
            if resource:
                by_resource.setdefault((group, resource), []).append(name)
            elif name in known:
                used[name] = Quantity.parse(known[name])
        scopes = scopes_of(quota)
        for (group, resource), counted in by_resource.items():
            informer = await self._informer(group, resource)
            if informer is None:
                continue
            total: Usage = {}
            for obj in informer.list(namespace_of(quota)):
                if in_scopes(resource, group, obj, scopes):
                    add(total, usage_of(resource, group, obj, self.now()))
            used |= {name: total.get(name, Quantity.ZERO) for name in counted}
        return {name: used[name] for name in names if name in used}

    async def _informer(self, group: str, resource: str) -> Informer | None:
        """The cache of a resource that a quota counts; None if there is no such resource."""
        if (group, resource) not in self._counted:
            version = "v1"
            if group:
                try:
                    version = (await self.client.get(f"/apis/{group}"))["preferredVersion"]["groupVersion"]
                    resources = (await self.client.get(f"/apis/{version}"))["resources"]
                except StatusError:
                    return None
                if not any(r["name"] == resource for r in resources):
                    return None
            self._follow(group, resource, self.informers.of(version, resource))
        informer = self._counted[group, resource]
        if informer is not None:
            await informer.synced.wait()
        return informer


def _frees(group: str, resource: str, obj: Object, old: Object) -> bool:
    """Whether a change gives something back: a pod that ended, a Service of another type, a claim of another size."""
    if group:
        return False
    if resource == "pods":
        return is_terminal(obj) and not is_terminal(old)
    if resource in ("services", "persistentvolumeclaims"):
        return bool(obj["spec"] != old["spec"])
    return False
