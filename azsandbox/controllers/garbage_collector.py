"""Garbage collection: what belongs to nobody any more goes, in the foreground, in the background, or is let go.

Source of the rules: Kubernetes 1.35, pkg/controller/garbagecollector.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from azsandbox.controllers.client import MERGE, KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import is_going, uid_of
from azsandbox.controllers.owner_graph import (
    FOREGROUND,
    ORPHAN,
    Effects,
    Identity,
    Node,
    OwnerGraph,
    finalizers_of,
    without,
)
from azsandbox.kubernetes.errors import StatusError

log = logging.getLogger(__name__)

_IGNORED = frozenset((("", "events"), ("events.k8s.io", "events")))
_CHECK, _ABSENT, _ORPHAN, _DISCOVER = "check", "absent", "orphan", "discover"
SOON = 0.1  # seconds from a change of a definition until resources are learned anew (client-go's looks every 30)


class GarbageCollector(Controller):
    """Follows every resource that can be deleted and deletes what has lost its owners."""

    name = "garbage-collector-controller"
    account = "generic-garbage-collector"
    workers = 8

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.graph = OwnerGraph()
        self.recorder = EventRecorder(self.client, self.name)
        self._custom = Informers(client)  # of custom resources, which come and go
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}  # apiVersion and kind → resource, namespaced
        self._followed: set[tuple[str, str]] = set()
        self._discovered = False
        self._telling: set[asyncio.Future[None]] = set()  # a task that nobody holds may be lost
        self.definitions = informers.of("apiextensions.k8s.io/v1", "customresourcedefinitions")
        self.definitions.on_change(self._definitions_changed)

    def _definitions_changed(self, kind: str, obj: Object, old: Object | None) -> None:
        before = (old or {}).get("status", {}).get("conditions") if old else None
        if kind != "MODIFIED" or obj.get("status", {}).get("conditions") != before:
            self.queue.add_after(_DISCOVER, SOON)  # definitions come and go in dozens

    async def run(self) -> None:
        try:
            while not self._discovered:
                try:
                    await self._discover()
                except StatusError:
                    await asyncio.sleep(0.5)
            await super().run()
        finally:
            await self._custom.stop()

    # Resources

    async def _discover(self) -> None:
        """Learns what resources there are and follows those that can be listed, watched and deleted."""
        versions: list[tuple[str, bool]] = [("v1", True)]
        for group in (await self.client.get("/apis")).get("groups") or ():
            preferred = group["preferredVersion"]["groupVersion"]
            versions += [(v["groupVersion"], v["groupVersion"] == preferred) for v in group["versions"]]
        found: set[tuple[str, str]] = set()
        preferred_of: dict[tuple[str, str], str] = {}
        kinds = {}
        for api_version, preferred_version in versions:
            url = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                resources = (await self.client.get(url)).get("resources") or ()
            except StatusError:
                continue  # a group that has gone since, or an aggregated one that does not answer
            group = api_version.rpartition("/")[0]
            for resource in resources:
                name = resource["name"]
                if "/" in name:
                    continue
                kinds[api_version, resource["kind"]] = (name, resource["namespaced"])
                complete = {"delete", "list", "watch"} <= set(resource["verbs"])
                if (
                    complete
                    and (group, name) not in _IGNORED
                    and (preferred_version or (group, name) not in preferred_of)
                ):
                    preferred_of[group, name] = api_version
        found = {(api_version, name) for (_, name), api_version in preferred_of.items()}
        self._kinds = kinds
        custom = {
            (definition["spec"]["group"], definition["spec"]["names"]["plural"])
            for definition in self.definitions.objects.values()
        }
        for api_version, name in sorted(found - self._followed):
            group = api_version.rpartition("/")[0]
            kind = next((k for (v, k), (n, _) in kinds.items() if v == api_version and n == name), "")
            informers = self._custom if (group, name) in custom or "." in name else self.informers
            informers.of(api_version, name).on_change(self._handler(api_version, kind, name))
        for api_version, name in self._followed - found:
            await self._custom.drop(api_version, name)
        self._followed = found
        self._discovered = True

    def _handler(self, api_version: str, kind: str, resource: str) -> Callable[[str, Object, Object | None], None]:
        def changed(event: str, obj: Object, old: Object | None) -> None:
            metadata = obj["metadata"]
            uid = uid_of(obj)
            if old is not None and uid_of(old) != uid:
                self._apply(self.graph.forget(uid_of(old)))
            if event == "DELETED":
                self._apply(self.graph.forget(uid))
                return
            identity = Identity(api_version, kind, resource, metadata.get("namespace", ""), metadata["name"], uid)
            self._apply(self.graph.observe(obj, identity))

        return changed

    def _apply(self, effects: Effects) -> None:
        for kind, uids in ((_CHECK, effects.check), (_ABSENT, effects.absent), (_ORPHAN, effects.orphan)):
            for uid in uids:
                self.queue.add(f"{kind}/{uid}")
        for dependent, reference in effects.misplaced:
            task = asyncio.ensure_future(self._tell_misplaced(dependent, reference))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell_misplaced(self, dependent: Node, reference: Object) -> None:
        """An event about an owner reference into another namespace."""
        identity = dependent.identity
        involved: Object = {
            "apiVersion": identity.api_version,
            "kind": identity.kind,
            "metadata": {"name": identity.name, "uid": identity.uid},
        }
        if identity.namespace:
            involved["metadata"]["namespace"] = identity.namespace
        owner = (
            f"[{reference['apiVersion']}/{reference['kind']}, namespace: {identity.namespace}, "
            f"name: {reference['name']}, uid: {reference['uid']}]"
        )
        message = f'ownerRef {owner} does not exist in namespace "{identity.namespace}"'
        await self.recorder.event(involved, "Warning", "OwnerRefInvalidNamespace", message)

    # Work

    async def reconcile(self, key: str) -> None:
        work, _, uid = key.partition("/")
        if work == _DISCOVER:
            await self._discover()
        elif work == _ABSENT:
            if uid not in self.graph.nodes:
                for node in self.graph.dependents_of(uid):
                    self.queue.add(f"{_CHECK}/{node.identity.uid}")
        elif work == _ORPHAN:
            await self._orphan(uid)
        else:
            await self._check(uid)

    async def _check(self, uid: str) -> None:
        """Deletes an object that has lost all its owners, or takes the lost ones out of its references."""
        node = self.graph.nodes.get(uid)
        if node is None or (node.going and not node.waits_for_dependents):
            return
        latest = await self.client.find(_url(node.identity))
        if latest is None or uid_of(latest) != uid:
            return
        if node.waits_for_dependents:
            await self._delete_dependents(node, latest)
            return
        references = latest["metadata"].get("ownerReferences") or []
        if not references:
            return
        solid, dangling, waiting = await self._classify(node, references)
        if solid is None:
            return
        if solid:
            lost = {reference["uid"] for reference in (*dangling, *waiting)}
            if lost:
                await self._keep_owners(node.identity, latest, without(references, lost))
            return
        if waiting and self.graph.dependents.get(uid):
            if any(dependent.waits_for_dependents for dependent in self.graph.dependents_of(uid)):
                # a circle of foreground deletions: one must not wait for the other
                unblocked = [{**r, "blockOwnerDeletion": False} for r in references]
                await self._keep_owners(node.identity, latest, unblocked)
                latest = await self.client.get(_url(node.identity))
            await self._delete(node.identity, latest, "Foreground")
            return
        finalizers = finalizers_of(latest)
        policy = "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
        await self._delete(node.identity, latest, policy)

    async def _classify(
        self, node: Node, references: list[Object]
    ) -> tuple[list[Object] | None, list[Object], list[Object]]:
        """Owners that are there, that are not, and that wait for their dependents; (None, …) if it cannot be said."""
        solid: list[Object] = []
        dangling: list[Object] = []
        waiting: list[Object] = []
        for reference in references:
            known = self._kinds.get((reference["apiVersion"], reference["kind"]))
            if known is None:
                message = f'no matches for kind "{reference["kind"]}" in version "{reference["apiVersion"]}"'
                raise StatusError(404, "NotFound", message)  # it may come: tried again, later and later
            resource, namespaced = known
            namespace = node.identity.namespace if namespaced else ""
            if namespaced and not namespace:
                return None, [], []  # a cluster-wide object cannot have a namespaced owner
            owner = await self.client.find(path(reference["apiVersion"], resource, namespace, reference["name"]))
            if owner is None or uid_of(owner) != reference["uid"]:
                dangling.append(reference)
            elif is_going(owner) and FOREGROUND in finalizers_of(owner):
                waiting.append(reference)
            else:
                solid.append(reference)
        return solid, dangling, waiting

    async def _delete_dependents(self, node: Node, latest: Object) -> None:
        """Foreground deletion: the owner goes when nothing blocks it any more."""
        blocking = self.graph.blocking(node.identity.uid)
        if not blocking:
            await self._remove_finalizer(node.identity, latest, FOREGROUND)
            return
        for dependent in blocking:
            if not dependent.waits_for_dependents:
                self.queue.add(f"{_CHECK}/{dependent.identity.uid}")

    async def _orphan(self, uid: str) -> None:
        """Lets go of the dependents, then of the owner."""
        node = self.graph.nodes.get(uid)
        if node is None:
            return
        for dependent in self.graph.dependents_of(uid):
            latest = await self.client.find(_url(dependent.identity))
            if latest is None or uid_of(latest) != dependent.identity.uid:
                continue
            references = latest["metadata"].get("ownerReferences") or []
            kept = without(references, {uid})
            if len(kept) != len(references):
                await self._keep_owners(dependent.identity, latest, kept)
        latest = await self.client.find(_url(node.identity))
        if latest is not None and uid_of(latest) == uid:
            await self._remove_finalizer(node.identity, latest, ORPHAN)

    async def _keep_owners(self, identity: Identity, latest: Object, references: list[Object]) -> None:
        metadata = {
            "uid": identity.uid,
            "resourceVersion": latest["metadata"]["resourceVersion"],
            "ownerReferences": references or None,
        }
        await self._patch(identity, {"metadata": metadata})

    async def _remove_finalizer(self, identity: Identity, latest: Object, finalizer: str) -> None:
        finalizers = finalizers_of(latest)
        if finalizer not in finalizers:
            return
        metadata = {
            "resourceVersion": latest["metadata"]["resourceVersion"],
            "finalizers": [f for f in finalizers if f != finalizer] or None,
        }
        await self._patch(identity, {"metadata": metadata})

    async def _patch(self, identity: Identity, change: Object) -> None:
        try:
            await self.client.patch(_url(identity), change, MERGE)
        except StatusError as error:
            if error.code != 404:
                raise

    async def _delete(self, identity: Identity, latest: Object, policy: str) -> None:
        preconditions = {"uid": identity.uid, "resourceVersion": latest["metadata"]["resourceVersion"]}
        options = {"propagationPolicy": policy, "preconditions": preconditions}
        try:
            await self.client.delete(_url(identity), options)
        except StatusError as error:
            if error.code != 404:
                raise


def _url(identity: Identity) -> str:
    return path(identity.api_version, identity.resource, identity.namespace, identity.name)
