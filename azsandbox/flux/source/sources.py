"""What the reconcilers of source-controller share: storage, progress, and the summary of conditions."""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informers, key_of
from azsandbox.flux import conditions
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.durations import seconds
from azsandbox.flux.events import NORMAL, TRACE, WARNING
from azsandbox.flux.reconciler import NEVER, REQUESTED, FluxReconciler
from azsandbox.flux.source.outcomes import Failed, NoChange, NotYet, Stalled, Waiting
from azsandbox.flux.status import StatusWriter

GROUP = "source.toolkit.fluxcd.io"
STORAGE_FAILED, FETCH_FAILED = "StorageOperationFailed", "FetchFailed"
OUTDATED, IN_STORAGE, VERIFIED = "ArtifactOutdated", "ArtifactInStorage", "SourceVerified"
POSITIVE = (IN_STORAGE, VERIFIED)  # of the conditions that Ready sums up, those that are good when True

WAIT_FOR_DEPENDENCY = 30.0  # seconds (--requeue-dependency)


@dataclass
class Built:
    """What a reconciliation that went well tells: the words of its event, and the reason if it has one of its own."""

    message: str
    reason: str = ""


class SourceReconciler(FluxReconciler):
    """Base of the reconcilers of source-controller.

    A subclass says which conditions Ready sums up, in the order of their weight, which of them are failures that an
    event tells the end of, and brings the artifact up to date in `build`. It raises what outcomes.py has.
    """

    name = user_agent = "source-controller"
    api_version = "source.toolkit.fluxcd.io/v1"
    workers = 8  # of which most wait for a server; --concurrent is 2
    summarized: ClassVar[tuple[str, ...]]
    failures: ClassVar[tuple[str, ...]]

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.artifacts = Artifacts(self.flux.storage, self.namespace)
        self._writers: dict[str, StatusWriter] = {}  # by the key of what is being reconciled

    async def build(self, obj: Object, before: Object) -> Built:
        """Brings the artifact in the status of `obj` up to date; `before` is the object as it was."""
        raise TypeError(f"{type(self).__name__} does not say how to build")

    async def act(self, obj: Object) -> float | None:
        """One reconciliation."""
        before = copy.deepcopy(obj)
        writer = self._writers[key_of(obj)] = StatusWriter(self.client, self.objects.path_of(obj, "status"), obj)
        try:
            return await self._reconcile(obj, before, writer)
        finally:
            writer.close()
            del self._writers[key_of(obj)]

    async def _reconcile(self, obj: Object, before: Object, writer: StatusWriter) -> float | None:
        obj.setdefault("status", {})
        failure: Failed | NoChange | None = None
        built: Built | None = None
        try:
            # Say that it begins
            self._begin(obj)

            # See whether what was stored is still there
            await self._check_storage(obj)

            # Bring it up to date
            built = await self.build(obj, before)
        except Failed as error:
            failure = error
            if error.condition:
                conditions.mark(obj, error.condition, error.status, error.reason, str(error))
        except NoChange as nothing:
            failure, built = nothing, Built(nothing.stored)

        # Say in conditions and events how it went, and when to do it again
        after = self._conclude(obj, failure)
        await writer.write(obj)
        await self._tell(obj, before, built, failure)
        return after

    # --- the stages

    def _begin(self, obj: Object) -> None:
        status, metadata = obj["status"], obj["metadata"]
        self.progress(obj, "reconciliation in progress")
        observed, generation = status.get("observedGeneration", 0), metadata["generation"]
        requested = (metadata.get("annotations") or {}).get(REQUESTED, "")
        if generation != observed:
            self.progress(obj, f"processing object: new generation {observed} -> {generation}")
            self.step(obj)
        elif requested != status.get("lastHandledReconcileAt", ""):
            self.step(obj)
        conditions.remove(obj, STORAGE_FAILED)

    async def _check_storage(self, obj: Object) -> None:
        status = obj["status"]
        artifact = status.get("artifact")
        missing = False
        if artifact:
            gone = self.artifacts.collect(artifact)
            if gone:
                await self.tell(obj, TRACE, "GarbageCollectionSucceeded", f"garbage collected {gone} artifacts")
            problem = self.artifacts.problem(artifact)
            if problem:
                text = f"failed to verify integrity of artifact: {problem}"
                await self.recorder.event(obj, WARNING, "ArtifactVerificationFailed", text)
                self.artifacts.remove(artifact)
            if not self.artifacts.file(artifact).is_file():
                missing = True
                del status["artifact"]
                status.pop("url", None)
        if not status.get("artifact"):
            self.progress(obj, "building artifact" + (": disappeared from storage" if missing else ""), drift=True)
            conditions.remove(obj, IN_STORAGE)
            self.step(obj)
        else:
            status["artifact"]["url"] = self.artifacts.url(artifact["path"])  # by its host's name of today

    def _conclude(self, obj: Object, failure: Failed | NoChange | None) -> float | None:
        """Sets the conditions that say how it went; returns as `act` does."""
        interval = self.interval(obj)
        after: float | None = interval
        if failure is None:
            conditions.remove(obj, conditions.RECONCILING)
        elif conditions.is_true(obj, conditions.RECONCILING) and not conditions.is_true(obj, conditions.STALLED):
            text = conditions.message(obj, conditions.RECONCILING)
            conditions.mark(obj, conditions.RECONCILING, "True", "ProgressingWithRetry", text)
        if isinstance(failure, Stalled):
            conditions.mark_stalled(obj, failure.reason, str(failure))
            after = NEVER
        else:
            conditions.remove(obj, conditions.STALLED)
        if isinstance(failure, NoChange):
            conditions.remove(obj, conditions.RECONCILING)
        elif isinstance(failure, Waiting):
            after = failure.seconds or interval
        elif isinstance(failure, Failed) and not isinstance(failure, Stalled):
            after = None
        if not isinstance(failure, Failed) or isinstance(failure, Stalled):
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.handled(obj)
        summarize(obj, self.summarized)
        if not isinstance(failure, Failed) and not _is_ready(obj):
            return None
        return after

    async def _tell(self, obj: Object, before: Object, built: Built | None, failure: Failed | NoChange | None) -> None:
        artifact = obj["status"].get("artifact")
        if built and artifact and not isinstance(failure, Failed):
            about = {f"{GROUP}/revision": artifact["revision"], f"{GROUP}/digest": artifact["digest"]}
            old = (before.get("status") or {}).get("artifact") or {}
            if old.get("digest") != artifact["digest"]:
                await self.recorder.event(obj, NORMAL, built.reason or "NewArtifact", built.message, about)
                self.log(obj, built.message)
            elif self._recovered(before, obj):
                await self.recorder.event(obj, NORMAL, built.reason or "Succeeded", built.message, about)
                self.log(obj, built.message)
        if isinstance(failure, (NoChange, NotYet)):
            await self.tell(obj, TRACE, failure.reason, str(failure))
        elif isinstance(failure, Waiting):
            self.log(obj, "reconciliation waiting", reason=str(failure), duration=failure.seconds)
            await self.recorder.event(obj, TRACE, failure.reason, str(failure))
        elif isinstance(failure, Failed):
            what = "reconciliation stalled" if isinstance(failure, Stalled) else "Reconciler error"
            self.log(obj, what, "error", error=str(failure))
            await self.recorder.event(obj, WARNING, failure.reason, str(failure))

    def _recovered(self, before: Object, obj: Object) -> bool:
        if any(conditions.find(obj, kind) for kind in self.failures):
            return False
        return any(conditions.find(before, kind) for kind in self.failures)

    # --- what the stages need

    def interval(self, obj: Object) -> float:
        """After how many seconds an object is looked at again."""
        return seconds(obj["spec"]["interval"])

    async def secret(self, namespace: str, name: str) -> Object:
        """A Secret. Raises StatusError, for the messages that have the API's words."""
        return await self.client.get(path("v1", "secrets", namespace, name))

    def progress(self, obj: Object, message: str, drift: bool = False) -> None:
        """Reconciling for a reason; Ready is in doubt where it was not known, or where there is `drift`."""
        conditions.mark_reconciling(obj, "Progressing", message)
        ready = conditions.find(obj, conditions.READY)
        if drift or not ready or ready["status"] == "Unknown":
            conditions.mark(obj, conditions.READY, "Unknown", "Progressing", message)

    def step(self, obj: Object) -> None:
        """Shows how far a reconciliation is, if it takes any longer."""
        self._writers[key_of(obj)].write_soon(obj)

    def drift(self, obj: Object, message: str, reason: str = "NewRevision") -> None:
        """Says that something new is upstream, before it is built."""
        if obj["status"].get("artifact"):
            conditions.mark(obj, OUTDATED, "True", reason, message)
        self.progress(obj, f"building artifact: {message}", drift=True)
        self.step(obj)

    def stored(self, obj: Object, message: str, reason: str = "Succeeded") -> None:
        """Says that the artifact is there."""
        conditions.remove(obj, OUTDATED)
        conditions.mark(obj, IN_STORAGE, "True", reason, message)

    async def tell(self, obj: Object, kind: str, reason: str, message: str) -> None:
        """An event, and a line of the log that says the same."""
        self.log(obj, message)
        await self.recorder.event(obj, kind, reason, message)

    async def rest(self, obj: Object) -> None:
        """A suspended object fetches nothing; it still notes its generation and what was asked of it."""
        self.log(obj, "reconciliation is suspended for this object")
        before = copy.deepcopy(obj.get("status"))
        obj.setdefault("status", {})
        if conditions.is_true(obj, conditions.RECONCILING):
            text = conditions.message(obj, conditions.RECONCILING)
            conditions.mark(obj, conditions.RECONCILING, "True", "ProgressingWithRetry", text)
        conditions.remove(obj, conditions.STALLED)
        if obj["status"].get("conditions"):
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.handled(obj)
        summarize(obj, self.summarized)
        if obj["status"] != before:
            await self.save(obj)

    async def finalize(self, obj: Object) -> None:
        """Removes its artifacts."""
        self.queue.forget(key_of(obj))
        metadata = obj["metadata"]
        if self.artifacts.forget(self.kind, metadata["namespace"], metadata["name"]):
            text = "garbage collected artifacts for deleted resource"
            await self.tell(obj, TRACE, "GarbageCollectionSucceeded", text)


def _is_ready(obj: Object) -> bool:
    return conditions.is_true(obj, conditions.READY) and not (
        conditions.is_true(obj, conditions.STALLED) or conditions.is_true(obj, conditions.RECONCILING)
    )


def summarize(obj: Object, kinds: tuple[str, ...]) -> None:
    """Ready from other conditions (fluxcd/pkg/runtime/conditions, SetSummary).

    Bad ones count most, then missing good ones, then good ones; of equals the first in `kinds` gives its words. A
    source that is not what it was verified to be is not ready for that reason.
    """
    present = [found for kind in kinds if (found := conditions.find(obj, kind))]
    if present:
        top = min(present, key=_weight)
        status = top["status"] if top["type"] in POSITIVE else _OPPOSITE[top["status"]]
        conditions.mark(obj, conditions.READY, status, top["reason"], top["message"])
    verified = conditions.find(obj, VERIFIED)
    if verified and verified["status"] == "False":
        conditions.mark(obj, conditions.READY, "False", verified["reason"], verified["message"])


_OPPOSITE = {"True": "False", "False": "True", "Unknown": "Unknown"}


def _weight(condition: Object) -> int:
    positive = condition["type"] in POSITIVE
    return {"True": 2 if positive else 0, "False": 1 if positive else 3}.get(condition["status"], 4)


def temporary(obj: Object) -> str:
    """The folder that source-controller would have worked in, which some of its messages name."""
    metadata = obj["metadata"]
    unique = zlib.crc32(f"{metadata.get('uid', '')}/{metadata['generation']}".encode())
    name = f"{obj['kind'].lower()}-{metadata['namespace']}-{metadata['name']}-{unique:010d}"
    return f"/tmp/{name}"  # noqa: S108 - text alone
