"""Namespaces that are deleted: their content goes first, pods before the rest, then the finalizer.

Rules and texts: k8s.io/kubernetes, pkg/controller/namespace/deletion.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.kubernetes.errors import StatusError

FINALIZER = "kubernetes"

_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


class Remaining:
    """What is left of a namespace's content."""

    def __init__(self) -> None:
        self.resources: dict[str, int] = {}
        self.finalizers: Counter[str] = Counter()
        self.failures: list[str] = []

    def add(self, resource: str, group: str, items: list[Object]) -> None:
        if items:
            self.resources[f"{resource}.{group}"] = len(items)
            for item in items:
                self.finalizers.update(item["metadata"].get("finalizers") or ())

    def conditions(self, old: list[Object], now: str) -> list[Object]:
        """The namespace's five conditions."""
        bad: dict[str, tuple[str, str]] = {}
        if self.resources:
            parts = ", ".join(
                sorted(f"{name} has {count} resource instances" for name, count in self.resources.items())
            )
            bad["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {parts}")
        if self.finalizers:
            parts = ", ".join(
                sorted(f"{name} in {count} resource instances" for name, count in self.finalizers.items())
            )
            text = f"Some content in the namespace has finalizers remaining: {parts}"
            bad["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", text)
        if self.failures:
            parts = ", ".join(sorted(self.failures))
            text = f"Failed to delete all resource types, {len(self.failures)} remaining: {parts}"
            bad["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", text)
        before = {condition["type"]: condition for condition in old}
        found = []
        for kind, fine in _FINE.items():
            reason, message = bad.get(kind, fine)
            status = "True" if kind in bad else "False"
            same = before.get(kind, {}).get("status") == status
            since = before[kind]["lastTransitionTime"] if same else now
            found.append(
                {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
            )
        return found


class NamespaceController(Controller):
    """Empties namespaces that are going away."""

    name = "namespace-controller"
    workers = 10

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.namespaces = informers.of("v1", "namespaces")
        self.namespaces.on_change(self._changed)
        self._resources: list[tuple[str, str]] = []
        self._discovered = 0.0
        self._looks: dict[str, int] = {}

    def _changed(self, kind: str, namespace: Object, old: Object | None) -> None:
        if kind != "DELETED" and namespace["metadata"].get("deletionTimestamp"):
            self.queue.add(namespace["metadata"]["name"])

    async def reconcile(self, key: str) -> None:
        namespace = await self.client.find(path("v1", "namespaces", name=key))
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        remaining = await self._empty(key)
        status = namespace.get("status") or {}
        conditions = remaining.conditions(status.get("conditions") or [], timestamp())
        if conditions != status.get("conditions"):
            url = path("v1", "namespaces", name=key, subresource="status")
            await self.client.patch(url, {"status": {"conditions": conditions}})
        if remaining.resources or remaining.failures:
            # what holds objects is unknown: look again, later and later
            looks = self._looks[key] = self._looks.get(key, 0) + 1
            self.queue.add_after(key, min(0.02 * 2.0**looks, 5.0))
            return
        self._looks.pop(key, None)
        current = await self.client.find(path("v1", "namespaces", name=key))
        if current is None:
            return
        left = [entry for entry in (current.get("spec") or {}).get("finalizers") or () if entry != FINALIZER]
        current["spec"] = {**(current.get("spec") or {}), "finalizers": left}
        await self.client.update(path("v1", "namespaces", name=key, subresource="finalize"), current)

    async def _empty(self, namespace: str) -> Remaining:
        remaining = Remaining()
        await self._delete_all("v1", "pods", namespace, remaining)
        if remaining.resources:
            return remaining
        for api_version, resource in await self._deletable():
            if (api_version, resource) != ("v1", "pods"):
                await self._delete_all(api_version, resource, namespace, remaining)
        return remaining

    async def _delete_all(self, api_version: str, resource: str, namespace: str, remaining: Remaining) -> None:
        url = path(api_version, resource, namespace)
        group = api_version.rpartition("/")[0]
        try:
            items = await self.client.list(url)
            if not items:
                return
            if any(not item["metadata"].get("deletionTimestamp") for item in items):
                await self.client.request("DELETE", url)
                items = await self.client.list(url)
            remaining.add(resource, group, items)
        except StatusError as error:
            if error.code not in (404, 405):
                remaining.failures.append(str(error))

    async def _deletable(self) -> list[tuple[str, str]]:
        """Namespaced resources that can be deleted, of each group the preferred version."""
        now = asyncio.get_running_loop().time()
        if self._resources and now - self._discovered < 1.0:
            return self._resources
        accept = await self.client.get("/apis")
        versions = ["v1"] + [group["preferredVersion"]["groupVersion"] for group in accept.get("groups") or ()]
        found: list[tuple[str, str]] = []
        for version in versions:
            try:
                listed = await self.client.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
            except StatusError:
                continue  # an API service that does not answer
            for resource in listed.get("resources") or ():
                verbs = set(resource.get("verbs") or ())
                if resource.get("namespaced") and "/" not in resource["name"] and {"delete", "list"} <= verbs:
                    found.append((version, resource["name"]))
        self._resources, self._discovered = found, now
        return found
