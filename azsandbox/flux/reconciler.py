"""What Flux's reconcilers have in common: they act while their Deployment is available, and write status by patch."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, ClassVar

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informer, Informers
from azsandbox.flux.installation import namespace
from azsandbox.kubernetes.errors import StatusError

FINALIZER = "finalizers.fluxcd.io"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds(duration: str) -> float:
    """A Go duration such as 1m30s, in seconds."""
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)(ms|us|µs|ns|h|m|s)", duration))


def go_duration(value: float) -> str:
    """Whole seconds as Go writes a duration: 9m30s, 1h0m0s."""
    hours, rest = divmod(int(value), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


class FluxReconciler(Controller):
    """Base of Flux's reconcilers. Subclasses name their controller and resource and do the work in `act`."""

    api_version: ClassVar[str]
    resource: ClassVar[str]

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.home: Path = options["home"]
        self.recorder = EventRecorder(self.client, self.name)
        self.objects: Informer = informers.of(self.api_version, self.resource)
        self.objects.on_change(self._changed)
        self.deployments = informers.of("apps/v1", "deployments")
        self.deployments.on_change(self._deployed)

    def _changed(self, kind: str, obj: Object, old: Object | None) -> None:
        """Queues what a new generation, a request, a deletion or a missing finalizer asks for."""
        if kind != "MODIFIED" or old is None or self._asks(obj) != self._asks(old):
            metadata = obj["metadata"]
            self.queue.add(f"{metadata['namespace']}/{metadata['name']}")

    @staticmethod
    def _asks(obj: Object) -> tuple[Any, ...]:
        metadata = obj["metadata"]
        requested = (metadata.get("annotations") or {}).get(REQUESTED)
        return metadata["generation"], requested, metadata.get("deletionTimestamp")

    def _deployed(self, kind: str, obj: Object, old: Object | None) -> None:
        metadata = obj["metadata"]
        if (metadata.get("namespace"), metadata["name"]) == (namespace(), self.name) and self.available():
            for key in self.objects.objects:
                self.queue.add(key)

    def available(self) -> bool:
        """Whether the controller's Deployment has a pod to act."""
        found = self.deployments.get(f"{namespace()}/{self.name}")
        return bool(found and found.get("status", {}).get("availableReplicas"))

    async def reconcile(self, key: str) -> None:
        """One reconciliation, as long as the controller runs and the object is there."""
        if not self.available():
            return
        found = await self.client.find(
            self.objects.path_of({"metadata": dict(zip(("namespace", "name"), key.split("/"), strict=True))})
        )
        if found is None:
            return
        obj = copy.deepcopy(found)
        if "deletionTimestamp" in obj["metadata"]:
            if FINALIZER in (obj["metadata"].get("finalizers") or []):
                await self.finalize(obj)
                await self._finalizers(obj, [f for f in obj["metadata"]["finalizers"] if f != FINALIZER])
            return
        if FINALIZER not in (obj["metadata"].get("finalizers") or []):
            await self._finalizers(obj, [*(obj["metadata"].get("finalizers") or []), FINALIZER])
        if not obj["spec"].get("suspend"):
            after = await self.act(obj)
            self.queue.add_after(key, after)
            return
        if obj.get("status", {}).get("conditions"):
            for condition in obj["status"]["conditions"]:
                if condition["type"] == "Ready":
                    condition["observedGeneration"] = obj["metadata"]["generation"]
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.handled(obj)
        await self.save(obj)

    async def act(self, obj: Object) -> float:
        """Reconciles an object; returns after how many seconds to do it again."""
        raise TypeError(f"{type(self).__name__} does not say how to act")

    async def finalize(self, obj: Object) -> None:
        """Clears up before the object goes."""

    async def _finalizers(self, obj: Object, finalizers: list[str]) -> None:
        metadata = {"finalizers": finalizers or None, "resourceVersion": obj["metadata"]["resourceVersion"]}
        try:
            answer = await self.client.patch(self.objects.path_of(obj), {"metadata": metadata})
            obj["metadata"] = answer["metadata"]
        except StatusError as error:
            if error.code != 404:
                raise

    @staticmethod
    def handled(obj: Object) -> None:
        """Notes the request that this reconciliation answers."""
        requested = (obj["metadata"].get("annotations") or {}).get(REQUESTED)
        if requested:
            obj.setdefault("status", {})["lastHandledReconcileAt"] = requested

    async def save(self, obj: Object) -> None:
        """Replaces the status of the object by that of `obj`; an object that has gone is no error."""
        change = [{"op": "add", "path": "/status", "value": obj.get("status") or {}}]
        try:
            await self.client.patch(self.objects.path_of(obj, "status"), change, "application/json-patch+json")
        except StatusError as error:
            if error.code != 404:
                raise
