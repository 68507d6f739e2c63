"""Kustomization: what kustomize-controller does with one (kustomize-controller, internal/controller)."""

from __future__ import annotations

import secrets
import time
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, Objects, path
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions
from azsandbox.flux.access import Access, NotSupported
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.conditions import READY, RECONCILING
from azsandbox.flux.durations import go_duration, seconds
from azsandbox.flux.events import NORMAL, WARNING
from azsandbox.flux.expressions import BadExpression, HealthChecks
from azsandbox.flux.flags import Flags
from azsandbox.flux.kustomize import access, decryption, dependencies, inventory, prune, sources
from azsandbox.flux.kustomize.application import Applied, ReconciliationFailed, apply
from azsandbox.flux.kustomize.attempt import Attempt, Failed, Stalled, Waiting
from azsandbox.flux.kustomize.inventory import Entry
from azsandbox.flux.kustomize.overlay import BuildFailed, Built, Overlays
from azsandbox.flux.kustomize.settings import Settings, retry_interval, timeout
from azsandbox.flux.kustomize.settled import Cluster, Settled
from azsandbox.flux.kustomize.sources import GROUP, SOURCES, source_of
from azsandbox.flux.kustomize.tree import Tree, secure_join
from azsandbox.flux.kustomize.triggers import Triggers
from azsandbox.flux.object_refs import ObjectRef, group_of
from azsandbox.flux.reconciler import NEVER, FluxReconciler
from azsandbox.flux.rest_mapping import RestMapping
from azsandbox.flux.status import StatusWriter
from azsandbox.flux.waiting import WaitFailed, wait_until_ready
from azsandbox.kubernetes.errors import StatusError

HEALTHY = "Healthy"
PROGRESSING, PROGRESSING_WITH_RETRY = "Progressing", "ProgressingWithRetry"
NOT_SUPPORTED = "NotSupportedInSandbox"
_ROOT = "/tmp/kustomization"  # noqa: S108 - what messages call an artifact's folder; nothing is written there
_TERMINAL = "Reconciliation failed terminally due to configuration error"


class Kustomizations(FluxReconciler):
    """Applies what sources have."""

    name = "kustomize-controller"
    api_version, resource, kind = sources.API_VERSION, sources.RESOURCE, "Kustomization"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.client = client.named(f"gotk-{self.name}")  # who writes the status; what is applied is the controller's
        self.settings = Settings.of(Flags(options.get("arguments", ())))
        self.workers = self.settings.concurrent
        self.own = Access(self.client, RestMapping(self.client))
        home, variables = self.flux.folder / "kustomize", self.flux.outbound.variables()
        artifacts = Artifacts(self.flux.storage, self.namespace)
        self.overlays = Overlays(artifacts, self.client, self.settings, self.namespace, home, variables)
        self.cluster = Cluster(informers, self.own.mapping)
        self._settled: dict[str, Settled] = {}  # by uid
        Triggers(self.objects, self.queue, self.log, self.flux.settling).follow(informers, self.settings)

    # --- a reconciliation

    async def rest(self, obj: Object) -> None:
        """Answers a request, but does nothing."""
        self.log(obj, "Reconciliation is suspended for this object")
        await self._finish(obj, self._writer(obj))

    async def act(self, obj: Object) -> float | None:
        """Builds and applies; conditions and events say how that went."""
        writer = self._writer(obj)
        try:
            return await self._act(obj, writer, time.monotonic())
        finally:
            writer.close()

    async def _act(self, obj: Object, writer: StatusWriter, begun: float) -> float | None:
        attempt: Attempt | None = None
        after: float | None
        try:
            # 1. What can never go well is found first
            health_checks = self._health_checks(obj)

            # 2. The source, its artifact, and what has to be ready before
            artifact = await self._artifact(obj)
            attempt = Attempt(obj, writer, begun, health_checks, artifact)
            await self._check_dependencies(attempt)

            # 3. The artifact is applied
            await self._attempt(attempt)
            after = self.settings.next_run(obj["spec"])
        except Stalled as error:
            after = await self._stalled(obj, attempt, error)
        except Waiting as error:
            after = await self._waiting(obj, attempt, error)
        except Failed as error:
            assert attempt is not None
            after = await self._failed(attempt, error)

        # 4. The result
        await self._finish(obj, writer)
        if conditions.is_true(obj, READY):
            await self._finished(obj, begun)
        return after

    async def _finished(self, obj: Object, begun: float) -> None:
        """Says that a reconciliation went well."""
        status = obj["status"]
        text = (
            f"Reconciliation finished in {go_duration(time.monotonic() - begun)}, "
            f"next run in {go_duration(seconds(obj['spec']['interval']))}"
        )
        self.log(obj, text, revision=status.get("lastAttemptedRevision", ""))
        update = {f"{GROUP}/commit_status": "update"}
        revision, origin = status.get("lastAppliedRevision", ""), status.get("lastAppliedOriginRevision", "")
        await self._event(obj, NORMAL, text, revision, origin, update)

    async def _waiting(self, obj: Object, attempt: Attempt | None, error: Waiting) -> float | None:
        conditions.mark(obj, READY, "False", error.reason, str(error))
        self.log(obj, error.event or str(error))
        if error.event and attempt:
            await self._event(obj, NORMAL, error.event, attempt.revision, attempt.origin)
        return error.after

    def _writer(self, obj: Object) -> StatusWriter:
        return StatusWriter(self.client, self.objects.path_of(obj, "status"), obj)

    async def _finish(self, obj: Object, writer: StatusWriter) -> None:
        """Writes what came out."""
        self.handled(obj)
        status = obj.setdefault("status", {})
        if conditions.is_true(obj, READY):
            conditions.remove(obj, RECONCILING)
            status["observedGeneration"] = obj["metadata"]["generation"]
        reconciling = conditions.find(obj, RECONCILING)
        if reconciling and conditions.is_false(obj, READY):
            conditions.mark(obj, RECONCILING, "True", PROGRESSING_WITH_RETRY, reconciling["message"])
        await writer.write(obj)

    async def _failed(self, attempt: Attempt, error: Failed) -> float:
        obj, again = attempt.obj, retry_interval(attempt.spec)
        conditions.mark(obj, READY, "False", error.reason, str(error))
        took = go_duration(time.monotonic() - attempt.begun)
        text = f"Reconciliation failed after {took}, next try in {go_duration(again)}"
        self.log(obj, text, "error", revision=attempt.revision, error=error.event)
        await self._event(obj, WARNING, error.event, attempt.revision, attempt.origin)
        return again

    async def _stalled(self, obj: Object, attempt: Attempt | None, error: Stalled) -> float:
        conditions.mark(obj, READY, "False", error.reason, str(error))
        conditions.mark_stalled(obj, error.reason, str(error))
        if error.observed:
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.log(obj, str(error), "error")
        revision, origin = (attempt.revision, attempt.origin) if attempt else ("", "")
        await self._event(obj, WARNING, str(error), revision, origin)
        return NEVER

    async def _event(
        self,
        obj: Object,
        kind: str,
        message: str,
        revision: str,
        origin: str = "",
        metadata: dict[str, str] | None = None,
    ) -> None:
        """An event whose reason is that of Ready."""
        found = {**(metadata or {})}
        if revision:
            found[f"{GROUP}/revision"] = revision
        if origin:
            found[f"{GROUP}/originRevision"] = origin
        reason = conditions.reason(obj, READY) or ("error" if kind == WARNING else "info")
        await self.recorder.event(obj, kind, reason, message, found)

    # --- before the artifact is applied

    def _health_checks(self, obj: Object) -> HealthChecks:
        """Compiles the health checks of a spec. Raises Stalled."""
        try:
            checks = HealthChecks(obj["spec"].get("healthCheckExprs") or [])
        except BadExpression as error:
            raise Stalled("InvalidCELExpression", f"{_TERMINAL}: {error}") from None
        if (obj["spec"].get("decryption") or {}).get("serviceAccountName") and not self.settings.workload_identity:
            text = (
                "to use spec.decryption.serviceAccountName for decryption authentication please enable the "
                "ObjectLevelWorkloadIdentity feature gate in the controller"
            )
            raise Stalled("FeatureGateDisabled", text, observed=False)
        return checks

    async def _artifact(self, obj: Object) -> Object:
        """The artifact of the source. Raises Waiting or Stalled."""
        source = source_of(obj)
        where = f"{source.kind}/{source.namespace}/{source.name}"
        denied = f"can't access '{where}', "
        if self.settings.no_cross_namespace_refs and source.namespace != obj["metadata"]["namespace"]:
            raise Stalled("AccessDenied", f"{denied}cross-namespace references have been blocked", observed=False)
        if source.kind == "ExternalArtifact" and not self.settings.external_artifacts:
            raise Stalled("AccessDenied", f"{denied}ExternalArtifact feature gate is disabled", observed=False)
        try:
            found = await self.client.find(path(SOURCES, sources.PLURALS[source.kind], source.namespace, source.name))
        except StatusError as error:
            text = f"unable to get source '{source.namespace}/{source.name}': {error}"
            raise Waiting("ArtifactFailed", text, None) from None
        if found is None:
            self.log(obj, f"Source '{sources.shown(obj)}' not found")
            text = f'{source.kind}.source.toolkit.fluxcd.io "{source.name}" not found'
            raise Waiting("ArtifactFailed", text, retry_interval(obj["spec"]))
        artifact = sources.artifact_of(found)
        if artifact is None:
            again = self.settings.requeue_dependency
            text = f"Source artifact not found, retrying in {go_duration(again)}"
            raise Waiting("ArtifactFailed", text, again)
        return artifact

    async def _check_dependencies(self, attempt: Attempt) -> None:
        """Raises Waiting or Stalled unless everything that it depends on is ready."""
        obj, again = attempt.obj, self.settings.requeue_dependency
        if not attempt.spec.get("dependsOn"):
            return
        try:
            await dependencies.check(self.client, obj, attempt.revision, additive=self.settings.additive_ready_expr)
        except dependencies.BadDependency as error:
            raise Stalled("InvalidCELExpression", f"{_TERMINAL}: {error}") from None
        except dependencies.NotReady as error:
            event = f"Dependencies do not meet ready condition, retrying in {go_duration(again)}"
            raise Waiting("DependencyNotReady", str(error), again, event) from None
        self.log(obj, "All dependencies are ready, proceeding with reconciliation")

    # --- the artifact is applied

    async def _attempt(self, attempt: Attempt) -> None:
        """Fetches, builds, applies, prunes and checks health. Raises Failed, Waiting or Stalled."""
        obj, status = attempt.obj, attempt.status

        # 1. The manifests of the artifact
        conditions.mark(obj, READY, "Unknown", PROGRESSING, "Reconciliation in progress")
        self._progress(attempt, "Fetching manifests")
        root = f"{_ROOT}-{10**9 + secrets.randbelow(9 * 10**9)}"
        tree, folder = await self._manifests(attempt, root)
        status["lastAttemptedRevision"] = attempt.revision
        self._progress(attempt, "Building manifests")

        # 2. As whom they are applied, and where
        to = await self._access(obj)
        try:
            # 3. The overlay is built
            try:
                built = await self.overlays.build(obj, tree, folder, root)
            except BuildFailed as error:
                raise Failed("BuildFailed", str(error)) from None
            except decryption.NotSupported as error:
                raise Stalled(NOT_SUPPORTED, str(error)) from None

            # 4. What differs from the cluster is applied
            self._progress(attempt, "Detecting drift")
            applied = await self._apply(attempt, built, to)

            # 5. What was applied is remembered, and what is no longer built is pruned
            old = inventory.read(status)
            new = [Entry(change.who, change.version) for change in applied.changes]
            status["inventory"] = inventory.rows(new)
            await self._prune(attempt, built, to, inventory.missing(old, new), new)

            # 6. Health
            await self._check_health(attempt, built, applied, to)
        finally:
            await to.close()

        # 7. It is done
        status["lastAppliedRevision"] = attempt.revision
        status.pop("lastAppliedOriginRevision", None)
        if attempt.origin:
            status["lastAppliedOriginRevision"] = attempt.origin
        succeeded = "ReconciliationSucceeded"
        conditions.mark(obj, READY, "True", succeeded, f"Applied revision: {attempt.revision}")
        attempt.record(built, succeeded)

    def _progress(self, attempt: Attempt, what: str) -> None:
        limit = go_duration(timeout(attempt.spec))
        text = f"{what} for revision {attempt.revision} with a timeout of {limit}"
        conditions.mark_reconciling(attempt.obj, PROGRESSING, text)
        attempt.writer.write_soon(attempt.obj)

    async def _manifests(self, attempt: Attempt, root: str) -> tuple[Tree, str]:
        """The files of the artifact, and the folder in it that the spec names."""
        try:
            tree = await self.overlays.tree(attempt.artifact)
        except FileNotFoundError:
            again = self.settings.requeue_dependency
            text = f"Source is not ready, artifact not found, retrying in {go_duration(again)}"
            raise Waiting("ArtifactFailed", text, again) from None
        except ValueError as error:
            raise Failed("ArtifactFailed", str(error)) from None
        folder = secure_join(attempt.spec.get("path") or "")
        if not tree.has(folder):
            text = f"kustomization path not found: stat {root}/{folder}: no such file or directory"
            raise Failed("ArtifactFailed", text)
        return tree, folder

    async def _access(self, obj: Object) -> Access:
        try:
            return await access.access_for(self.own, obj, self.settings.default_account, self.flux.outbound)
        except access.AccessError as error:
            raise Failed("ReconciliationFailed", str(error), f"failed to build kube client: {error}") from None
        except NotSupported as error:
            raise Stalled(NOT_SUPPORTED, str(error)) from None

    async def _apply(self, attempt: Attempt, built: Built, to: Access) -> Applied:
        """Applies what was built, and tells what changed. Raises Failed."""
        obj = attempt.obj
        settled = self._settled.setdefault(obj["metadata"]["uid"], Settled()) if not to.remote else Settled()
        try:
            applied = await apply(
                obj, built.manifests, to, self.settings, settled, self.cluster, attempt.reader, new=attempt.is_new
            )
        except ReconciliationFailed as error:
            attempt.record(built, "ReconciliationFailed")
            raise Failed("ReconciliationFailed", str(error)) from None
        if applied.changes:
            output = {str(change.who): change.action for change in applied.changes}
            self.log(obj, "server-side apply completed", output=output, revision=attempt.revision)
        if applied.log:
            await self._event(obj, NORMAL, applied.log, attempt.revision, attempt.origin)
        return applied

    async def _prune(
        self, attempt: Attempt, built: Built, to: Access, stale: list[Entry], entries: list[Entry]
    ) -> None:
        """Deletes what is stale, where the spec says so. What could not be deleted stays in the inventory."""
        if not attempt.spec.get("prune") or not stale:
            return
        obj, metadata = attempt.obj, attempt.obj["metadata"]
        try:
            changes = await prune.delete_all(to.client, to.mapping, stale, metadata["name"], metadata["namespace"])
        except prune.PruneError as error:
            attempt.status["inventory"] = inventory.rows(inventory.merged(entries, error.left))
            attempt.record(built, "PruneFailed")
            raise Failed("PruneFailed", str(error)) from None
        text = "\n".join(map(str, changes))
        self.log(obj, f"garbage collection completed: {text}")
        await self._event(obj, NORMAL, text, attempt.revision, attempt.origin)

    async def _check_health(self, attempt: Attempt, built: Built, applied: Applied, to: Access) -> None:
        """Waits for what the spec names. Raises Failed."""
        obj, spec = attempt.obj, attempt.spec
        wanted = applied.present if spec.get("wait") else _references(spec.get("healthChecks") or [])
        if not wanted:
            conditions.remove(obj, HEALTHY)
            return
        begun, was_healthy = time.monotonic(), conditions.is_true(obj, HEALTHY)
        limit = timeout(spec)
        text = f"Running health checks for revision {attempt.revision} with a timeout of {go_duration(limit)}"
        conditions.mark_reconciling(obj, PROGRESSING, text)
        conditions.mark(obj, HEALTHY, "Unknown", PROGRESSING, text)
        await attempt.writer.write(obj)
        try:
            await wait_until_ready(
                to.client,
                to.mapping,
                [ref for ref in wanted if ref != ObjectRef.of(obj)],
                limit,
                reader=attempt.reader,
                fail_fast=self.settings.fail_fast,
                vanishing=applied.finished,
            )
        except WaitFailed as error:
            reason = "HealthCheckFailed"
            conditions.mark(obj, HEALTHY, "False", reason, str(error))
            attempt.record(built, reason)
            took = go_duration(time.monotonic() - begun)
            raise Failed(reason, f"health check failed after {took}: {error}") from None
        text = f"Health check passed in {go_duration(time.monotonic() - begun)}"
        if not was_healthy or (attempt.is_new and applied.log):
            await self._event(obj, NORMAL, text, attempt.revision, attempt.origin)
        conditions.mark(obj, HEALTHY, "True", "Succeeded", text)
        await attempt.writer.write(obj)

    # --- the end of a Kustomization

    async def finalize(self, obj: Object) -> None:
        """Deletes what it applied, as its deletion policy says. What raises is tried again.

        One that was ready says here too that a reconciliation is finished, as Flux does.
        """
        begun = time.monotonic()
        try:
            await self._clear(obj)
        except Exception:
            await self._finish(obj, self._writer(obj))
            raise
        finally:
            if conditions.is_true(obj, READY) and not obj["spec"].get("suspend"):
                await self._finished(obj, begun)

    async def _clear(self, obj: Object) -> None:
        spec, metadata, status = obj["spec"], obj["metadata"], obj.get("status") or {}
        revision, origin = status.get("lastAppliedRevision", ""), status.get("lastAppliedOriginRevision", "")
        entries = inventory.read(status)
        self._settled.pop(metadata["uid"], None)
        self.overlays.forget(metadata["uid"])
        if not entries or not prune.deletes(spec):
            return
        if not await access.can_impersonate(self.own, obj, self.settings.default_account):
            text = "unable to prune objects: \n" + "\n".join(str(entry.who) for entry in entries)
            self.log(obj, text, "error", error="skiping pruning, failed to find account to impersonate")
            await self._event(obj, WARNING, text, revision, origin)
            return
        to = await access.access_for(self.own, obj, self.settings.default_account, self.flux.outbound)
        try:
            changes = await prune.delete_all(to.client, to.mapping, entries, metadata["name"], metadata["namespace"])
            await self._event(obj, NORMAL, "\n".join(map(str, changes)), revision, origin)
            if spec.get("deletionPolicy") == prune.WAIT:
                await prune.wait_gone(to.client, to.mapping, changes, timeout(spec))
        except prune.PruneError:
            await self._event(obj, WARNING, "pruning for deleted resource failed", revision, origin)
            raise
        except TimeoutError:
            text = "failed to wait for resources termination"
            self.log(obj, text, "error")
            await self._event(obj, WARNING, text, revision, origin)
        finally:
            await to.close()


def _references(checks: Objects) -> list[ObjectRef]:
    """The objects of spec.healthChecks."""
    found = []
    for check in checks:
        group = group_of(check.get("apiVersion") or "apps/v1")
        found.append(ObjectRef(group, check["kind"], check.get("namespace") or "", check["name"]))
    return found
