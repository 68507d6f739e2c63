"""How a reconciliation of the image controllers ends (fluxcd/pkg/runtime/reconcile, ResultFinalizer)."""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions
from azsandbox.flux.conditions import READY, RECONCILING, STALLED
from azsandbox.flux.events import NORMAL, TRACE, WARNING
from azsandbox.flux.reconciler import NEVER, REQUESTED, FluxReconciler

IN_PROGRESS = "reconciliation in progress"
NOT_SUPPORTED = "NotSupportedInSandbox"


class Failed(Exception):
    """It is tried again, later and later. Without a reason a failure that is known already stands."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Stalled(Failed):
    """Nothing but a change of the object can help."""


class Waiting(Failed):
    """It waits for something else, and looks again after `seconds`."""

    def __init__(self, reason: str, message: str, seconds: float) -> None:
        super().__init__(reason, message)
        self.seconds = seconds


def is_ready(obj: Object) -> bool:
    """Whether an object is ready, and neither reconciling nor stalled."""
    return conditions.is_true(obj, READY) and not any(conditions.is_true(obj, kind) for kind in (STALLED, RECONCILING))


class ImageReconciler(FluxReconciler):
    """Base of the reconcilers of both controllers.

    A subclass does the work in `work`, which returns what Ready says then and after how many seconds to do it again,
    and raises what is above. `said` is what a reconciliation tells that brought no news.
    """

    persists_requests = True  # says that it has begun, also where nothing but a request asks for it
    notes_while_suspended = True  # a request, as handled

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.said: dict[str, str] = {}  # by the uid of an object

    async def work(self, obj: Object, before: Object) -> tuple[str, float]:
        """The work on an object, whose status is changed; `before` is the object as it was."""
        raise TypeError(f"{type(self).__name__} does not say how to work")

    async def act(self, obj: Object) -> float | None:
        """One reconciliation."""
        before = copy.deepcopy(obj)
        obj.setdefault("status", {})
        failure: Failed | None = None
        message, after = "", NEVER
        try:
            message, after = await self.work(obj, before)
        except Failed as error:
            failure = error
        self._conclude(obj, failure, message)
        await self._notify(obj, before, failure)
        await self.save(obj)
        self.said.pop(obj["metadata"]["uid"], None)
        if isinstance(failure, Stalled):
            return NEVER
        if isinstance(failure, Waiting):
            return failure.seconds
        return after if failure is None else None

    async def rest(self, obj: Object) -> None:
        """A suspended object keeps its status, but says of it that it is of this generation."""
        self.log(obj, "reconciliation is suspended for this object")
        before = copy.deepcopy(obj.get("status"))
        if self.notes_while_suspended:
            self.handled(obj)
        self._observe(obj)
        if obj.get("status") != before:
            await self.save(obj)

    # --- what a subclass begins with

    async def begin(self, obj: Object) -> None:
        """Says that it has begun, where there is something new about the object."""
        self.progress(obj, IN_PROGRESS)
        status, metadata = obj["status"], obj["metadata"]
        observed, generation = status.get("observedGeneration", 0), metadata["generation"]
        requested = (metadata.get("annotations") or {}).get(REQUESTED, "")
        if generation != observed:
            self.progress(obj, f"processing object: new generation {observed} -> {generation}")
            await self.save(obj)
        elif self.persists_requests and requested != status.get("lastHandledReconcileAt", ""):
            await self.save(obj)

    def progress(self, obj: Object, message: str, *, drift: bool = False) -> None:
        """Reconciling; Ready is in doubt where it was not known, or where there is `drift`."""
        conditions.mark_reconciling(obj, "Progressing", message)
        ready = conditions.find(obj, READY)
        if drift or not ready or ready["status"] == "Unknown":
            conditions.mark(obj, READY, "Unknown", "Progressing", message)

    # --- the end

    def _conclude(self, obj: Object, failure: Failed | None, message: str) -> None:
        ready = conditions.find(obj, READY)
        open_ = ready is None or ready["status"] != "False"
        if failure is None:
            conditions.remove(obj, RECONCILING, STALLED, READY)
            conditions.mark(obj, READY, "True", "Succeeded", message)
        elif isinstance(failure, Stalled):
            conditions.mark_stalled(obj, failure.reason, str(failure))
            if open_:
                conditions.mark(obj, READY, "False", failure.reason, str(failure))
        else:
            conditions.remove(obj, STALLED)
            if failure.reason or open_:
                conditions.mark(obj, READY, "False", failure.reason or "Failed", str(failure))
        reconciling = conditions.find(obj, RECONCILING)
        if reconciling is not None:
            conditions.mark(obj, RECONCILING, "True", "ProgressingWithRetry", reconciling["message"])
        self.handled(obj)
        self._observe(obj)

    @staticmethod
    def _observe(obj: Object) -> None:
        """Notes the generation of an object that is ready or stalled."""
        if is_ready(obj) or (conditions.is_true(obj, STALLED) and not conditions.is_true(obj, RECONCILING)):
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]

    def news(self, obj: Object, before: Object) -> str | None:
        """What a reconciliation that went well tells as news; None for what only its trace tells."""
        message = conditions.message(obj, READY)
        changed = not is_ready(before) or message != conditions.message(before, READY)
        return message if changed else None

    async def _notify(self, obj: Object, before: Object, failure: Failed | None) -> None:
        reason, message = conditions.reason(obj, READY), conditions.message(obj, READY)
        if not is_ready(obj):
            self.log(obj, message, "error", error=reason)
            if failure is not None and not isinstance(failure, (Stalled, Waiting)):
                self.log(obj, "Reconciler error", "error", error=str(failure))
            await self.recorder.event(obj, WARNING, reason, message)
            return
        news = self.news(obj, before)
        text = self.said.get(obj["metadata"]["uid"], message) if news is None else news
        self.log(obj, text)
        await self.recorder.event(obj, TRACE if news is None else NORMAL, "Succeeded" if news is None else reason, text)
