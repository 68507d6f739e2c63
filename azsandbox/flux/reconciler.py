"""The stages that every reconciliation of Flux has, and what its reconcilers share."""

from __future__ import annotations

import math
import uuid
from contextvars import ContextVar
from typing import Any, ClassVar

from azsandbox.controllers.client import JSON_PATCH, KubeClient, Object, path
from azsandbox.controllers.informer import Again, Controller, Informer, Informers, Queue, key_of, split_key
from azsandbox.flux.events import FluxRecorder
from azsandbox.flux.logs import line
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError

FINALIZER = "finalizers.fluxcd.io"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
FIRST_RETRY, LAST_RETRY = 0.75, 900.0  # seconds (fluxcd/pkg/runtime/controller, --min-retry-delay, --max-retry-delay)
NEVER = math.inf  # seconds: not until something changes

_identity: ContextVar[str] = ContextVar("reconcileID", default="")  # of the reconciliation that is under way


class FluxReconciler(Controller):
    """Base of Flux's reconcilers.

    A subclass names its controller (`name`, the Deployment's) and its resource, and does the work in `act`; it may say
    how an object is left (`finalize`), how a suspended one is treated (`rest`), and what else is to be followed
    (in its `__init__`, with `self.follow`). It runs only while its controller's Deployment has a pod, in a process of
    that controller (azsandbox/flux/processes.py), so it can take for granted that it may act.
    """

    api_version: ClassVar[str]
    resource: ClassVar[str]
    kind: ClassVar[str]
    has_finalizer: ClassVar[bool] = True
    workers = 4  # --concurrent of most controllers

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.client = client.named(self.name)  # and so the manager of the fields that it sets
        self.queue = Queue(FIRST_RETRY, LAST_RETRY)
        self.flux: FluxRuntime = options["flux"]
        self.namespace: str = options["namespace"]  # of the installation
        self.recorder = FluxRecorder(self.client, self.name, self.flux.notifications, options.get("instance", ""))
        self.objects: Informer = informers.of(self.api_version, self.resource)
        self.objects.on_change(self._changed)

    def _changed(self, kind: str, obj: Object, old: Object | None) -> None:
        """Queues what a new object, a new generation, a request or a deletion asks for."""
        if kind == "ADDED" or (kind == "MODIFIED" and (old is None or self.asks(obj) != self.asks(old))):
            self.queue.add(key_of(obj))

    @staticmethod
    def asks(obj: Object) -> tuple[Any, ...]:
        """What of an object asks for a reconciliation when it changes."""
        metadata = obj["metadata"]
        annotations = metadata.get("annotations") or {}
        return metadata["generation"], annotations.get(REQUESTED), metadata.get("deletionTimestamp")

    # --- the stages

    async def reconcile(self, key: str) -> None:
        """One reconciliation of an object."""
        _identity.set(str(uuid.uuid4()))
        namespace, name = split_key(key)
        obj = await self.client.find(path(self.api_version, self.resource, namespace, name))
        if obj is None:
            return
        finalizers = obj["metadata"].get("finalizers") or []

        # One that is being deleted is cleared up after, once
        if "deletionTimestamp" in obj["metadata"]:
            if FINALIZER in finalizers:
                await self.finalize(obj)
                await self.set_finalizers(obj, [f for f in finalizers if f != FINALIZER])
            return

        # No object is acted upon before it has the finalizer
        if self.has_finalizer and FINALIZER not in finalizers:
            await self.set_finalizers(obj, [*finalizers, FINALIZER])

        # A suspended one is left as it is
        if obj["spec"].get("suspend"):
            await self.rest(obj)
            return

        # The work, and when to do it again
        after = await self.act(obj)
        if after is None:
            raise Again
        if after != NEVER:
            self.queue.again_in(key, after)

    async def act(self, obj: Object) -> float | None:
        """Reconciles an object, and says in its status how that went.

        Returns after how many seconds to do it again, NEVER for not until something changes, or None for a failure
        that is tried again after a growing delay.
        """
        raise TypeError(f"{type(self).__name__} does not say how to act")

    async def finalize(self, obj: Object) -> None:
        """Clears up before an object goes. What it raises keeps the object, and is tried again."""

    async def rest(self, obj: Object) -> None:
        """What is done about a suspended object: nothing but what it says of itself."""

    # --- what the stages need

    async def set_finalizers(self, obj: Object, finalizers: list[str]) -> None:
        """Writes the finalizers; an object that has gone is no error."""
        metadata = {"finalizers": finalizers or None, "resourceVersion": obj["metadata"]["resourceVersion"]}
        try:
            answer = await self.client.patch(self.objects.path_of(obj), {"metadata": metadata})
            obj["metadata"] = answer["metadata"]
        except StatusError as error:
            if error.code != 404:
                raise

    @staticmethod
    def handled(obj: Object) -> None:
        """Notes in status the request that this reconciliation answers."""
        requested = (obj["metadata"].get("annotations") or {}).get(REQUESTED)
        if requested:
            obj.setdefault("status", {})["lastHandledReconcileAt"] = requested

    async def save(self, obj: Object) -> None:
        """Replaces the object's status by that of `obj`, in one patch; an object that has gone is no error."""
        change = [{"op": "add", "path": "/status", "value": obj.get("status") or {}}]
        try:
            answer = await self.client.patch(self.objects.path_of(obj, "status"), change, JSON_PATCH)
            obj["metadata"]["resourceVersion"] = answer["metadata"]["resourceVersion"]
        except StatusError as error:
            if error.code != 404:
                raise

    def log(self, obj: Object, message: str, level: str = "info", **fields: Any) -> None:
        """A line of the controller's log, as its JSON encoder writes it; `flux logs` and `kubectl logs` show it."""
        metadata = obj["metadata"]
        named = {"name": metadata["name"], "namespace": metadata.get("namespace", "")}
        about = {
            "controller": self.kind.lower(),
            "controllerGroup": self.api_version.partition("/")[0],
            "controllerKind": self.kind,
            self.kind: named,
            **{"namespace": named["namespace"], "name": named["name"]},
            "reconcileID": _identity.get(),
            **fields,
        }
        self.flux.output.write(self.name, line(level, message, **about))
