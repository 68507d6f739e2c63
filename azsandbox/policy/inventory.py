"""What policies may know of other objects: `data.inventory`, of the kinds that a Config or a SyncSet names.

Objects stand at `cluster[groupVersion][kind][name]` and `namespace[namespace][groupVersion][kind][name]` (gatekeeper,
package target). What is not synced is not there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Again, Controller, Informer, Informers
from azsandbox.policy.exclusions import SYNC, Exclusions

CONFIG, SYNC_SETS = ("config.gatekeeper.sh/v1alpha1", "configs"), ("syncset.gatekeeper.sh/v1alpha1", "syncsets")

Kind = tuple[str, str]  # group/version, kind


class Inventory:
    """The synced objects. `version` grows with every change, so that readers see that theirs is old."""

    def __init__(self) -> None:
        self.version = 0
        self._tree: dict[str, Any] = {"cluster": {}, "namespace": {}}
        self._text: tuple[int, str] = (-1, "")

    def put(self, kind: Kind, obj: Object) -> None:
        """Takes an object in, or its newer version."""
        self._place(kind, obj)[obj["metadata"]["name"]] = obj
        self.version += 1

    def drop(self, kind: Kind, obj: Object) -> None:
        """Forgets an object."""
        self._place(kind, obj).pop(obj["metadata"]["name"], None)
        self.version += 1

    def forget(self, kind: Kind) -> None:
        """Forgets every object of a kind."""
        for place in (self._tree["cluster"], *self._tree["namespace"].values()):
            place.get(kind[0], {}).pop(kind[1], None)
        self.version += 1

    def text(self) -> str:
        """The document `data`, made once a version."""
        if self._text[0] != self.version:
            self._text = (self.version, orjson.dumps({"inventory": self._tree}).decode())
        return self._text[1]

    def _place(self, kind: Kind, obj: Object) -> dict[str, Any]:
        namespace = obj["metadata"].get("namespace")
        place = self._tree["namespace"].setdefault(namespace, {}) if namespace else self._tree["cluster"]
        found: dict[str, Any] = place.setdefault(kind[0], {}).setdefault(kind[1], {})
        return found


class Sync(Controller):
    """Follows the Config and the SyncSets, and with them the kinds to sync. One key: all of it."""

    name = user_agent = "gatekeeper"
    workers = 1

    def __init__(self, client: KubeClient, **options: Any) -> None:
        super().__init__(client, Informers(client), **options)
        self.inventory: Inventory = options["inventory"]
        self.exclusions: Exclusions = options["exclusions"]
        self.namespace: str = options["namespace"]
        self._followed: dict[Kind, tuple[Informer, str]] = {}  # with the name of the resource
        self._sources = [self.follow(self.informers.of(*source), lambda _: ("",)) for source in (CONFIG, SYNC_SETS)]

    async def run(self) -> None:
        """Works until cancelled. It waits for nothing: there may be no definition of a SyncSet."""
        try:
            await self._work(self.reconcile)
        finally:
            await self.informers.stop()

    async def reconcile(self, key: str) -> None:
        """Follows the kinds that are wanted, and those only."""
        config = self._sources[0].get(f"{self.namespace}/config")
        spec = (config or {}).get("spec") or {}
        self.exclusions.replace(spec.get("match") or [])
        wanted = {_kind(entry) for entry in (spec.get("sync") or {}).get("syncOnly") or []}
        for sync_set in self._sources[1].list():
            wanted |= {_kind(entry) for entry in (sync_set.get("spec") or {}).get("gvks") or []}
        for kind in [kind for kind in self._followed if kind not in wanted]:
            _, resource = self._followed.pop(kind)
            await self.informers.drop(kind[0], resource)
            self.inventory.forget(kind)
        missing = [kind for kind in sorted(wanted - self._followed.keys()) if not await self._follow(kind)]
        for kind, (informer, _) in self._followed.items():
            self._again(kind, informer)
        if missing:
            raise Again

    async def _follow(self, kind: Kind) -> bool:
        """Starts to follow a kind. False if it is not served, which may come."""
        found = await self.client.find(path(kind[0], "").rstrip("/"))
        for resource in (found or {}).get("resources") or []:
            if resource["kind"] == kind[1] and "/" not in resource["name"]:
                informer = self.informers.of(kind[0], resource["name"])
                self._followed[kind] = (informer, resource["name"])
                informer.on_change(partial(self._changed, kind))
                return True
        return False

    def _changed(self, kind: Kind, event: str, obj: Object, old: Object | None) -> None:
        if kind not in self._followed:
            return
        if event == "DELETED" or self.exclusions.exclude(SYNC, obj, kind[1]):
            self.inventory.drop(kind, obj)
        else:
            self.inventory.put(kind, {"apiVersion": kind[0], "kind": kind[1], **obj})

    def _again(self, kind: Kind, informer: Informer) -> None:
        """Looks at everything anew, as another Config may exclude other namespaces."""
        for obj in informer.list():
            self._changed(kind, "MODIFIED", obj, None)


def _kind(entry: Object) -> Kind:
    group, version = entry.get("group") or "", entry.get("version") or ""
    return (f"{group}/{version}" if group else version), entry.get("kind") or ""
