"""HelmReleases, reconciled by helm-controller (internal/controller/helmrelease_controller.go)."""

from __future__ import annotations

from typing import Any, ClassVar

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Again, Informer, Informers, key_of
from azsandbox.flux import conditions
from azsandbox.flux.access import Access, NotSupported
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.conditions import READY
from azsandbox.flux.durations import go_duration, jittered, seconds
from azsandbox.flux.events import NORMAL, WARNING
from azsandbox.flux.expressions import BadExpression, FailedExpression, HealthChecks, dependency_is_ready
from azsandbox.flux.flags import Flags
from azsandbox.flux.helm import atomic, chart_template, history, sources, spec, uninstalling, values
from azsandbox.flux.helm.access import AccessFailed, access_for, account_of
from azsandbox.flux.helm.chart_template import TemplateFailed
from azsandbox.flux.helm.charts import BadChart
from azsandbox.flux.helm.engine import Chart
from azsandbox.flux.helm.request import Request
from azsandbox.flux.helm.settings import Settings
from azsandbox.flux.helm.uninstalling import UninstallFailed
from azsandbox.flux.helm.values import ValuesFailed
from azsandbox.flux.reconciler import NEVER, FluxReconciler
from azsandbox.flux.rest_mapping import RestMapping
from azsandbox.kubernetes.errors import StatusError

_TERMINAL = "Reconciliation failed terminally due to configuration error"
_IN_PROGRESS = "reconciliation in progress"
_NOT_SUPPORTED = "NotSupportedInSandbox"


class _Stop(Exception):
    """Ends a reconciliation: with seconds until the next, NEVER for none, or None for a retry that comes later each time.

    `observed` says whether the generation has been dealt with.
    """

    def __init__(self, after: float | None, *, observed: bool = False) -> None:
        super().__init__()
        self.after, self.observed = after, observed


class HelmReleaseReconciler(FluxReconciler):
    """Installs, upgrades, tests, rolls back and uninstalls the releases that HelmReleases describe."""

    name = "helm-controller"
    user_agent = "helm-controller"
    api_version: ClassVar[str] = spec.API_VERSION
    resource: ClassVar[str] = "helmreleases"
    kind: ClassVar[str] = "HelmRelease"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.settings = Settings.of(Flags(options.get("arguments", ())))
        self.workers = self.settings.concurrent
        self.own = Access(self.client, RestMapping(self.client))
        self.artifacts = Artifacts(self.flux.storage, self.namespace)
        self.objects.on_change(self._dependency_changed)
        for kind, resource in sources.RESOURCES.items():
            if kind != sources.EXTERNAL or self.settings.external_artifacts:
                informers.of(chart_template.SOURCE, resource).on_change(self._source_changed)
        for kind, resource in (("ConfigMap", "configmaps"), ("Secret", "secrets")):
            if self.settings.watch_configs:
                self._follow_values(informers.of("v1", resource, labelSelector=self.settings.watch_configs), kind)

    # --- what asks for a reconciliation besides the object itself

    def _dependency_changed(self, event: str, obj: Object, old: Object | None) -> None:
        """Those that wait for a release go on when it becomes ready; Flux looks again every half a minute."""
        if not _is_settled(obj) or (old is not None and _is_settled(old)):
            return
        metadata = obj["metadata"]
        for other in self.objects.list():
            own = other["metadata"]["namespace"]
            names = ((d.get("namespace") or own, d["name"]) for d in other["spec"].get("dependsOn") or ())
            if (metadata["namespace"], metadata["name"]) in names and _waits(other):
                self.queue.add(key_of(other))

    def _source_changed(self, event: str, source: Object, old: Object | None) -> None:
        if event != "MODIFIED" or old is None or not sources.revision_changed(old, source):
            return
        metadata = source["metadata"]
        named = (source["kind"], metadata["namespace"], metadata["name"])
        for obj in self.objects.list():
            if sources.reference(obj) == named and sources.wants(obj, source):
                self.queue.add(key_of(obj))

    def _follow_values(self, informer: Informer, kind: str) -> None:
        def changed(event: str, source: Object, old: Object | None) -> None:
            metadata = source["metadata"]
            for obj in self.objects.list(metadata["namespace"]):
                named = {(r["kind"], r["name"]) for r in obj["spec"].get("valuesFrom") or ()}
                field = "configMapRef" if kind == "ConfigMap" else "secretRef"
                named.add((kind, (spec.part(obj, "kubeConfig").get(field) or {}).get("name", "")))
                if (kind, metadata["name"]) in named:
                    self.queue.add(key_of(obj))

        informer.on_change(changed)

    # --- the stages

    async def act(self, obj: Object) -> float | None:
        """One reconciliation, and the status that it ends with."""
        after: float | None
        try:
            await self._reconcile(obj)
            after, observed = jittered(seconds(obj["spec"]["interval"]), self.settings.jitter), True
        except _Stop as stop:
            after, observed = stop.after, stop.observed
        self.handled(obj)
        if observed:
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        await self.save(obj)
        return after

    async def rest(self, obj: Object) -> None:
        """A suspended one says that it has been seen."""
        self.log(obj, "reconciliation is suspended for this object")
        self.handled(obj)
        status = obj.setdefault("status", {})
        if status.get("observedGeneration") != obj["metadata"]["generation"]:
            status["observedGeneration"] = obj["metadata"]["generation"]
        await self.save(obj)

    async def _reconcile(self, obj: Object) -> None:
        obj.setdefault("status", {})

        # Health checks of one's own must be readable
        try:
            checks = HealthChecks(obj["spec"].get("healthCheckExprs") or [])
        except BadExpression as error:
            raise await self._terminal(obj, error) from None

        # The chart's template becomes a HelmChart
        try:
            await self._chart_template(obj)
        except TemplateFailed as error:
            raise self._retry(obj, str(error)) from None

        # Dependencies come first
        conditions.mark_reconciling(obj, "Progressing", "Fulfilling prerequisites")
        await self.save(obj)
        await self._check_dependencies(obj)
        self._past(obj, "DependencyNotReady")

        # The source has a chart, and the values are there
        source = await self._source(obj)
        composed = await self._values(obj)
        chart, digest = await self._chart(obj, source)
        access = await self._access(obj)
        try:
            await self._release(self._request(obj, access, chart, composed, checks), digest)
        finally:
            await access.close()

    async def _release(self, request: Request, digest: str) -> None:
        """Takes the steps that lead to the release that is wanted."""
        obj = request.obj

        # A release that goes elsewhere from now on is taken away from where it was
        await self._move(request)
        obj["status"]["storageNamespace"] = spec.storage_namespace(obj)

        # Failures count for one attempt: a generation, a chart and values
        self._note_attempt(request, digest)

        # Off we go
        try:
            await atomic.reconcile(request)
        except atomic.RetryIn as retry:
            raise _Stop(jittered(retry.seconds, self.settings.jitter), observed=True) from None
        except atomic.GivenUp as error:
            raise self._final(obj, str(error)) from None
        except atomic.Again as error:
            raise self._retry(obj, str(error)) from None

    async def _check_dependencies(self, obj: Object) -> None:
        dependencies = obj["spec"].get("dependsOn") or ()
        if not dependencies:
            return
        self.log(obj, f"checking {len(dependencies)} dependencies")
        for dependency in dependencies:
            try:
                wrong = await self._unready(obj, dependency)
            except BadExpression as error:
                raise await self._terminal(obj, error) from None
            if wrong:
                conditions.mark(obj, READY, "False", "DependencyNotReady", wrong)
                await self.recorder.event(obj, NORMAL, "DependencyNotReady", wrong)
                again = self.settings.requeue_dependency
                retrying = f"retrying in {go_duration(again)}"
                self.log(obj, f"dependencies do not meet ready condition ({wrong}): {retrying}")
                raise _Stop(again)
        self.log(obj, "all dependencies are ready")

    async def _unready(self, obj: Object, dependency: Object) -> str:
        """Why a dependency is not ready, or empty. Raises BadExpression."""
        namespace, name = dependency.get("namespace") or obj["metadata"]["namespace"], dependency["name"]
        shown = f"{namespace}/{name}"
        try:
            found = await self.client.get(path(self.api_version, self.resource, namespace, name))
        except StatusError as error:
            return f"unable to get '{shown}' dependency: {error.message}"
        if dependency.get("readyExpr"):
            try:
                ready = dependency_is_ready(dependency["readyExpr"], obj, found)
            except FailedExpression as error:
                return str(error)
            if not ready:
                return f"dependency '{shown}' is not ready according to readyExpr eval"
            if not self.settings.additive_ready_expr:
                return ""
        return "" if _is_settled(found) else f"dependency '{shown}' is not ready"

    async def _source(self, obj: Object) -> Object:
        """The source, once it is ready."""
        try:
            source = await sources.find(self.client, obj, self.settings)
        except sources.AccessDenied as error:
            conditions.mark_stalled(obj, "AccessDenied", str(error))
            conditions.mark(obj, READY, "False", "AccessDenied", str(error))
            await self.recorder.event(obj, WARNING, "AccessDenied", str(error))
            raise self._final(obj, str(error)) from None
        except (sources.NoSource, StatusError) as error:
            text = f"could not get Source object: {error}"
            conditions.mark(obj, READY, "False", "ArtifactFailed", text)
            raise self._retry(obj, str(error)) from None
        self._past(obj, "AccessDenied", "ArtifactFailed")
        wrong = sources.not_ready(source)
        if wrong:
            self.log(obj, wrong)
            conditions.mark(obj, READY, "False", "SourceNotReady", wrong)
            raise _Stop(jittered(self.settings.requeue_dependency, self.settings.jitter))
        self._past(obj, "SourceNotReady")
        return source

    async def _values(self, obj: Object) -> values.Values:
        passed_over: list[str] = []
        try:
            found = await values.composed(self.client, obj, passed_over)
        except (ValuesFailed, StatusError) as error:
            conditions.mark(obj, READY, "False", "ValuesError", str(error))
            await self.recorder.event(obj, WARNING, "ValuesError", str(error))
            raise self._retry(obj, str(error)) from None
        finally:
            for text in passed_over:
                self.log(obj, text)
        self._past(obj, "ValuesError")
        return found

    async def _chart(self, obj: Object, source: Object) -> tuple[Chart, str]:
        """The chart, and for one from an OCI repository the digest that it is known by."""
        try:
            chart = await sources.load(self.artifacts, source)
        except sources.NoArtifact:
            again = self.settings.requeue_dependency
            text = f"Source not ready: artifact not found. Retrying in {go_duration(again)}"
            conditions.mark(obj, READY, "False", "ArtifactFailed", text)
            self.log(obj, text)
            raise _Stop(again) from None
        except BadChart as error:
            conditions.mark(obj, READY, "False", "ArtifactFailed", f"Could not load chart: {error}")
            await self.recorder.event(obj, WARNING, "ArtifactFailed", str(error))
            raise self._retry(obj, str(error)) from None
        self._past(obj, "ArtifactFailed")
        try:
            return sources.with_revision(chart, source, tracked=self.settings.tracks_digests)
        except sources.BadVersion as error:
            conditions.mark(obj, READY, "False", "ChartMutateError", str(error))
            raise self._retry(obj, str(error)) from None

    async def _access(self, obj: Object) -> Access:
        """As whom, and where, the release is made."""
        try:
            found = await access_for(self.own, obj, self.settings, self.flux.outbound)
        except AccessFailed as error:
            conditions.mark(obj, READY, "False", "RESTClientError", str(error))
            raise self._retry(obj, str(error)) from None
        except NotSupported as error:
            conditions.mark(obj, READY, "False", _NOT_SUPPORTED, str(error))
            conditions.mark_stalled(obj, _NOT_SUPPORTED, str(error))
            await self.recorder.event(obj, WARNING, _NOT_SUPPORTED, str(error))
            raise self._final(obj, str(error)) from None
        self._past(obj, "RESTClientError", _NOT_SUPPORTED)
        return found

    def _request(
        self, obj: Object, access: Access, chart: Chart | None, composed: values.Values, checks: HealthChecks
    ) -> Request:
        async def save() -> None:
            await self.save(obj)

        return Request(
            obj,
            access.client,
            access.mapping,
            self.recorder,
            save,
            self._say(obj),
            chart,
            composed,
            checks,
            self.settings,
        )

    async def _chart_template(self, obj: Object) -> None:
        """Brings the HelmChart in line. Raises TemplateFailed."""
        across = not self.settings.no_cross_namespace_refs
        await chart_template.reconcile(self.client, obj, self.recorder, self._say(obj), across=across)

    async def _move(self, request: Request) -> None:
        """Uninstalls a release whose name, namespace, storage or chart has become another."""
        obj = request.obj
        reason = _target_changed(obj, request.the_chart.name)
        if not reason:
            return
        strategy = spec.part(obj, "upgrade").get("chartNameChangeStrategy") or "Reinstall"
        if reason == "chart name" and strategy != "Reinstall":
            return
        self.log(obj, f"release target configuration changed ({reason}): running uninstall for current release")
        try:
            await uninstalling.uninstall(request)
        except UninstallFailed as error:
            raise self._retry(obj, str(error)) from None
        history.clear(obj)
        spec.clear_failures(obj)
        obj["status"].pop("storageNamespace", None)
        raise _Stop(None)

    def _note_attempt(self, request: Request, digest: str) -> None:
        obj, status = request.obj, request.obj["status"]
        reset = atomic.requested_once(obj, atomic.RESET, "lastHandledResetAt")
        generation, version = obj["metadata"]["generation"], request.the_chart.version
        values_digest = history.config_digest(request.values)
        before = status.get("lastAttemptedConfigDigest")
        if (
            reset
            or status.get("lastAttemptedGeneration") != generation
            or status.get("lastAttemptedRevision") != version
            or (before and before != values_digest)
        ):
            spec.clear_failures(obj)
        status["lastAttemptedGeneration"] = generation
        status["lastAttemptedRevision"] = version
        status["lastAttemptedConfigDigest"] = values_digest
        status.pop("lastAttemptedRevisionDigest", None)
        if digest:
            status["lastAttemptedRevisionDigest"] = digest
        for old in ("lastAttemptedValuesChecksum", "lastReleaseRevision"):
            status.pop(old, None)

    # --- deletion

    async def finalize(self, obj: Object) -> None:
        """Uninstalls the release and deletes the HelmChart of an object that goes; one that is suspended leaves both."""
        if obj["spec"].get("suspend"):
            return
        obj.setdefault("status", {})
        try:
            await self._uninstall_deleted(obj)
            await self._chart_template(obj)
        except (AccessFailed, UninstallFailed, TemplateFailed) as error:
            self._retry(obj, str(error))
            self.handled(obj)
            await self.save(obj)
            raise Again from None

    async def _uninstall_deleted(self, obj: Object) -> None:
        if not obj["status"].get("storageNamespace"):
            self.log(obj, "skipping Helm release uninstallation: no storage namespace configured")
            return
        skipping = "skipping Helm release uninstallation"
        try:
            access = await access_for(self.own, obj, self.settings, self.flux.outbound)
        except NotSupported:
            return  # it has never been installed
        except AccessFailed as error:
            if error.missing:
                self.log(obj, skipping, "error", error=str(error))
                return
            text = f"failed to build REST client getter to uninstall release: {error}"
            conditions.mark(obj, READY, "False", "UninstallFailed", text)
            raise
        try:
            account = account_of(obj, self.settings)
            if account and not access.remote:
                where = path("v1", "serviceaccounts", obj["metadata"]["namespace"], account)
                if await self.client.find(where) is None:
                    self.log(obj, skipping, "error", error=f'serviceaccounts "{account}" not found')
                    return
            if await uninstalling.uninstall(self._request(obj, access, None, {}, HealthChecks([]))):
                self.log(obj, "uninstalled Helm release for deleted resource")
        finally:
            await access.close()
        history.clear(obj)
        obj["status"].pop("storageNamespace", None)

    # --- how a reconciliation ends early

    def _say(self, obj: Object) -> Any:
        def say(message: str, level: str = "info", **fields: Any) -> None:
            self.log(obj, message, level, **fields)

        return say

    def _past(self, obj: Object, *reasons: str) -> None:
        """What kept the object from being ready has passed."""
        if conditions.reason(obj, READY) in reasons:
            conditions.mark(obj, READY, "Unknown", "Progressing", _IN_PROGRESS)

    def _retry(self, obj: Object, why: str) -> _Stop:
        self.log(obj, "Reconciler error", "error", error=why)
        return _Stop(None)

    def _final(self, obj: Object, why: str) -> _Stop:
        self.log(obj, "Reconciler error", "error", error=f"terminal error: {why}")
        return _Stop(NEVER, observed=True)

    async def _terminal(self, obj: Object, error: BadExpression) -> _Stop:
        """Ends a reconciliation for an expression that cannot be read."""
        message = f"{_TERMINAL}: {error}"
        conditions.mark(obj, READY, "False", "InvalidCELExpression", message)
        conditions.mark_stalled(obj, "InvalidCELExpression", message)
        await self.recorder.event(obj, WARNING, "InvalidCELExpression", str(error))
        return self._final(obj, str(error))


def _is_settled(obj: Object) -> bool:
    """Whether others may build on a release."""
    observed = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return observed and conditions.is_true(obj, READY)


def _waits(obj: Object) -> bool:
    return conditions.reason(obj, READY) == "DependencyNotReady"


def _target_changed(obj: Object, chart_name: str) -> str:
    """What of a release's place has changed since it was made, or empty (internal/action/verify.go)."""
    status, latest = obj["status"], history.latest(obj)
    if not status.get("storageNamespace") or latest is None:
        return ""
    if spec.storage_namespace(obj) != status["storageNamespace"]:
        return "storage namespace"
    if spec.release_namespace(obj) != latest["namespace"]:
        return "release namespace"
    if spec.short_name(spec.release_name(obj)) != latest["name"]:
        return "release name"
    return "chart name" if chart_name != latest["chartName"] else ""
