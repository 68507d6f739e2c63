"""What asks for the reconciliation of Kustomizations besides themselves: sources, dependencies, configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from azsandbox.controllers.client import Object, Objects
from azsandbox.controllers.informer import Handler, Informer, Informers, Queue, key_of
from azsandbox.flux import conditions
from azsandbox.flux.conditions import READY, RECONCILING
from azsandbox.flux.kustomize import dependencies, sources
from azsandbox.flux.kustomize.settings import Settings
from azsandbox.flux.kustomize.sources import SOURCES, source_of


class Triggers:
    """Queues Kustomizations. `objects` are all of them, `log` writes to the controller's log, and `settling` are the
    seconds from a dependency's becoming ready to what waits for it."""

    def __init__(self, objects: Informer, queue: Queue, log: Callable[..., None], settling: float) -> None:
        self.objects, self.queue, self.log, self.settling = objects, queue, log, settling

    def follow(self, informers: Informers, settings: Settings) -> None:
        """Begins to follow what may ask."""
        self.objects.on_change(self._dependency_changed)
        for kind, plural in sources.PLURALS.items():
            if kind != "ExternalArtifact" or settings.external_artifacts:
                informers.of(SOURCES, plural).on_change(self._source_changed(kind))
        for kind, plural in (("ConfigMap", "configmaps"), ("Secret", "secrets")):
            if settings.watch_configs:
                informers.of("v1", plural, labelSelector=settings.watch_configs).on_change(self._config_changed(kind))

    def _source_changed(self, kind: str) -> Handler:
        """Queues the Kustomizations of a source that has a new revision."""

        def changed(event: str, source: Object, old: Object | None) -> None:
            artifact, before = sources.artifact_of(source), sources.artifact_of(old or {})
            if artifact is None:
                return
            if event == "MODIFIED" and before is not None and before["revision"] == artifact["revision"]:
                return
            metadata = source["metadata"]
            where = sources.Source(kind, metadata["namespace"], metadata["name"])
            found = [obj for obj in self.objects.list() if source_of(obj) == where]
            self._queue([obj for obj in found if not _is_at(obj, artifact["revision"])], source)

        return changed

    def _dependency_changed(self, event: str, obj: Object, old: Object | None) -> None:
        """Those that wait for a Kustomization look again when it comes, and soon after it is ready.

        Flux looks again every half a minute, and takes its time for the first look.
        """
        if event == "ADDED":
            self._queue(dependencies.waiting_for(obj, self.objects.list()), obj)
        if dependencies.has_settled(obj, old):
            waiting = [key_of(other) for other in dependencies.waiting_for(obj, self.objects.list())]
            if waiting:
                asyncio.get_running_loop().call_later(self.settling, self._go_on, waiting)

    def _go_on(self, keys: list[str]) -> None:
        """Queues those that wait still: who asked for a reconciliation meanwhile has had it."""
        found = [obj for obj in map(self.objects.get, keys) if obj is not None and dependencies.is_waiting(obj)]
        if found:
            self._queue(found, found[0])

    def _config_changed(self, kind: str) -> Handler:
        """Queues the Kustomizations that name a ConfigMap or a Secret which has changed and asks to be followed."""

        def changed(event: str, config: Object, old: Object | None) -> None:
            metadata = config["metadata"]
            found = self.objects.list(metadata["namespace"])
            self._queue([obj for obj in found if metadata["name"] in _names_of(obj["spec"], kind)], config)

        return changed

    def _queue(self, objects: Objects, cause: Object) -> None:
        """Queues objects, each after those that it depends on."""
        try:
            for obj in dependencies.sorted_by_dependency(objects):
                self.queue.add(key_of(obj))
        except ValueError as error:
            self.log(cause, "failed to sort dependencies for revision change", "error", error=str(error))


def _is_at(obj: Object, revision: str) -> bool:
    """Whether a Kustomization is at a revision already, or on its way to it."""
    status = obj.get("status") or {}
    busy = conditions.is_true(obj, READY) or conditions.is_true(obj, RECONCILING)
    return busy and bool(status.get("lastAttemptedRevision") == revision)


def _names_of(spec: Object, kind: str) -> set[str]:
    """The ConfigMaps or Secrets that a spec names."""
    references = (spec.get("postBuild") or {}).get("substituteFrom") or []
    found = {reference["name"] for reference in references if reference["kind"] == kind}
    field = "configMapRef" if kind == "ConfigMap" else "secretRef"
    for part in ("kubeConfig", *(("decryption",) if kind == "Secret" else ())):
        named = ((spec.get(part) or {}).get(field) or {}).get("name")
        if named:
            found.add(named)
    return found
