"""HelmChart: a chart of a Helm repository, a registry or a Git repository as an artifact."""

from __future__ import annotations

import asyncio
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informer, Informers, key_of
from azsandbox.flux import conditions
from azsandbox.flux.azure import AzureProblem, NoIdentity, registry_credentials
from azsandbox.flux.events import TRACE
from azsandbox.flux.source.chart_building import (
    BUILDING,
    PULL,
    UNKNOWN,
    Build,
    BuildProblem,
    Options,
    build_local,
    build_remote,
)
from azsandbox.flux.source.chart_index import Index, IndexProblem
from azsandbox.flux.source.chart_repositories import (
    ChartRepository,
    HttpRepository,
    RegistryRepository,
    RepositoryProblem,
)
from azsandbox.flux.source.helm_access import AccessProblem, HelmAccess, helm_access, normalized
from azsandbox.flux.source.outcomes import NOT_SUPPORTED, Failed, NotYet, Stalled, not_supported
from azsandbox.flux.source.sources import (
    FETCH_FAILED,
    GROUP,
    IN_STORAGE,
    OUTDATED,
    STORAGE_FAILED,
    VERIFIED,
    Built,
    SourceReconciler,
    temporary,
)
from azsandbox.flux.source.tree import Tree, unarchived
from azsandbox.flux.web import Web
from azsandbox.kubernetes.errors import StatusError

BUILD_FAILED = "BuildFailed"
PLURALS = {"HelmRepository": "helmrepositories", "GitRepository": "gitrepositories", "Bucket": "buckets"}
_SHORT = 12  # digits of a commit that make the version of a chart another
_REFUSED = ("401", "unauthorized", "authentication required", "tls", "unknown certificate authority")


class HelmCharts(SourceReconciler):
    """Pulls and packages charts."""

    resource, kind = "helmcharts", "HelmChart"
    summarized: ClassVar[tuple[str, ...]] = (
        STORAGE_FAILED,
        FETCH_FAILED,
        BUILD_FAILED,
        OUTDATED,
        IN_STORAGE,
        VERIFIED,
        conditions.STALLED,
        conditions.RECONCILING,
    )
    failures = (BUILD_FAILED, FETCH_FAILED, STORAGE_FAILED)

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.web = Web(self.flux.outbound)
        self.indexes: dict[str, tuple[str, Index]] = {}  # by the path of their artifact: its digest, and the index
        for kind in ("HelmRepository", "GitRepository"):
            self._follow(kind, informers.of(self.api_version, PLURALS[kind]))

    async def close(self) -> None:
        await self.web.close()

    def _follow(self, kind: str, sources: Informer) -> None:
        """Queues the charts of a source whose artifact is another."""

        def changed(event: str, obj: Object, old: Object | None) -> None:
            revision = _revision(obj)
            if event == "MODIFIED" and old is not None and revision and revision != _revision(old):
                for chart in self._charts_of(kind, obj):
                    if (chart.get("status") or {}).get("observedSourceArtifactRevision") != revision:
                        self.queue.add(key_of(chart))

        sources.on_change(changed)

    def _charts_of(self, kind: str, source: Object) -> Iterator[Object]:
        for chart in self.objects.list(source["metadata"]["namespace"]):
            reference = chart["spec"]["sourceRef"]
            if (reference["kind"], reference["name"]) == (kind, source["metadata"]["name"]):
                yield chart

    async def build(self, obj: Object, before: Object) -> Built:
        """The stages of one reconciliation."""
        status = obj["status"]
        if conditions.is_false(obj, VERIFIED):
            conditions.remove(obj, VERIFIED)

        # The source, and its artifact
        source = await self._source(obj)
        artifact = (source.get("status") or {}).get("artifact")
        there = artifact is not None and self.artifacts.file(artifact).is_file()
        if not there and source["spec"].get("type") != "oci":
            reference = obj["spec"]["sourceRef"]
            text = f"no artifact available for {reference['kind']} source '{reference['name']}'"
            raise NotYet("NoSourceArtifact", text, FETCH_FAILED)
        if artifact:
            status["observedSourceArtifactRevision"] = artifact["revision"]

        # The chart
        build = await self._built(obj, source)
        revision = (status.get("artifact") or {}).get("revision")
        if build.name != status.get("observedChartName") or build.version != revision:
            self.drift(obj, build.summary, "NewChart")
        conditions.remove(obj, FETCH_FAILED, BUILD_FAILED)
        if build.resolved:
            text = f"resolved {build.resolved} chart dependencies"
            await self.recorder.event(obj, TRACE, "ResolvedDependencies", text)

        # The artifact
        if build.data is None:
            text = f"artifact up-to-date with remote revision: '{build.version}'"
            await self.tell(obj, TRACE, "ArtifactUpToDate", text)
        else:
            self._store(obj, build, build.data)
        self.stored(obj, build.summary, build.reason)
        return Built(build.summary, build.reason)

    async def _source(self, obj: Object) -> Object:
        reference = obj["spec"]["sourceRef"]
        kind, name = reference["kind"], reference["name"]
        try:
            return await self.client.get(path(self.api_version, PLURALS[kind], obj["metadata"]["namespace"], name))
        except StatusError as error:
            said = f'{kind}.{GROUP} "{name}" not found' if error.code == 404 else str(error)
            raise Failed("SourceUnavailable", f"failed to get source: {said}", FETCH_FAILED) from error

    # --- building

    async def _built(self, obj: Object, source: Object) -> Build:
        """The chart. What goes wrong is told of fetching, or of building, as it is of the one or the other."""
        try:
            if obj["spec"].get("verify"):
                raise not_supported("spec.verify", VERIFIED, "False")
            conditions.remove(obj, VERIFIED)
            if obj["spec"]["sourceRef"]["kind"] == "HelmRepository":
                return await self._from_repository(obj, source)
            return await self._from_files(obj, source)
        except BuildProblem as error:
            building = error.reason in BUILDING
            conditions.remove(obj, FETCH_FAILED if building else BUILD_FAILED)
            kind = Stalled if error.reason.lasting else Failed
            raise kind(error.reason.name, str(error), BUILD_FAILED if building else FETCH_FAILED) from error
        except Failed as error:
            if error.reason != NOT_SUPPORTED:
                conditions.remove(obj, BUILD_FAILED)
                conditions.mark(obj, FETCH_FAILED, "True", UNKNOWN.name, f"{UNKNOWN.summary}: {error}")
            raise

    def _options(self, obj: Object, metadata: str = "") -> Options:
        spec, status = obj["spec"], obj["status"]
        cached = self.artifacts.file(status["artifact"]).read_bytes() if status.get("artifact") else None
        options = Options(
            tuple(spec.get("valuesFiles") or ()),
            bool(spec.get("ignoreMissingValuesFiles")),
            metadata,
            cached,
            tuple(status.get("observedValuesFiles") or ()),
            force=obj["metadata"]["generation"] != status.get("observedGeneration"),
        )
        if not options.merges:
            return options
        generation = str(obj["metadata"]["generation"])  # so that whoever takes the chart sees that it changed
        return replace(options, metadata=f"{metadata}.{generation}" if metadata else generation)

    async def _from_repository(self, obj: Object, source: Object) -> Build:
        try:
            access = await helm_access(self.client, source)
        except AccessProblem as error:
            raise Failed("AuthenticationFailed", str(error)) from error
        repository: ChartRepository
        if source["spec"].get("type") == "oci":
            if not access.is_registry:
                raise Stalled("Failed", f"failed to construct Helm client: invalid OCI registry URL: {access.url}")
            repository = RegistryRepository(self.web, await self._identified(source, access))
        else:
            repository = HttpRepository(self.web, access, self._index(source["status"]["artifact"]))
        try:
            return await build_remote(
                repository, obj["spec"]["chart"], obj["spec"].get("version") or "", self._options(obj)
            )
        except BuildProblem as error:
            if any(word in str(error) for word in _REFUSED):
                text = f"failed to authenticate with the Helm repository: {error}"
                raise Failed("AuthenticationFailed", text) from error
            raise

    async def _identified(self, source: Object, access: HelmAccess) -> HelmAccess:
        """Access to a registry as whom the provider of a HelmRepository says, unless a Secret says otherwise."""
        provider = source["spec"].get("provider", "generic")
        if provider == "generic" or source["spec"].get("secretRef"):
            return access
        if provider != "azure":
            raise not_supported(f"spec.provider {provider} of a HelmRepository", FETCH_FAILED)
        try:
            found = await registry_credentials(self.web, self.flux, urlsplit(access.url).netloc)
        except AzureProblem as error:
            text = f"unable to get authentication data from OIDC: {error}"
            raise Failed("AuthenticationFailed", text) from error
        except NoIdentity:
            what = "spec.provider azure of a HelmRepository in a cluster without nodes of Azure"
            raise not_supported(what, FETCH_FAILED) from None
        return replace(access, username=found.username, password=found.password)

    def _index(self, artifact: Object) -> Index:
        """The index that a HelmRepository stored, parsed once."""
        held = self.indexes.get(artifact["path"])
        if held is None or held[0] != artifact["digest"]:
            try:
                index = Index.parse(self.artifacts.file(artifact).read_bytes())
            except IndexProblem as error:
                text = f"failed to get chart version for remote reference: failed to load index: {error}"
                raise BuildProblem(PULL, text) from error
            if len(self.indexes) >= 100:
                self.indexes.clear()
            held = self.indexes[artifact["path"]] = (artifact["digest"], index)
        return held[1]

    async def _from_files(self, obj: Object, source: Object) -> Build:
        spec, artifact = obj["spec"], source["status"]["artifact"]
        tree = await asyncio.to_thread(self._tree, artifact)
        metadata = ""
        if spec.get("reconcileStrategy") == "Revision":
            metadata = re.split("[:/]", artifact["revision"])[-1][:_SHORT]
        namespace = obj["metadata"]["namespace"]

        async def resolve(url: str) -> ChartRepository:
            return await self._dependency(namespace, normalized(url))

        folder = f"{temporary(obj)}/source"
        return await build_local(tree, spec["chart"], folder, self._options(obj, metadata), resolve)

    def _tree(self, artifact: Object) -> Tree:
        try:
            return unarchived(self.artifacts.file(artifact).read_bytes())
        except (OSError, tarfile.TarError) as error:
            raise Failed("Failed", f"artifact untar error: {error}") from error

    async def _dependency(self, namespace: str, url: str) -> ChartRepository:
        """The repository at a URL, reached as the HelmRepository says that has it, or as anybody."""
        source = next(
            (
                repository
                for repository in self.informers.of(self.api_version, PLURALS["HelmRepository"]).list(namespace)
                if normalized(repository["spec"]["url"]) == url
            ),
            None,
        )
        try:
            access = await helm_access(self.client, source) if source else HelmAccess(url)
        except AccessProblem as error:
            raise RepositoryProblem(f"failed to get chart repository for URL '{url}': {error}") from error
        if access.is_registry:
            return RegistryRepository(self.web, access)
        artifact = (source or {}).get("status", {}).get("artifact")
        index = self._index(artifact) if artifact and self.artifacts.file(artifact).is_file() else None
        return HttpRepository(self.web, access, index)

    # --- the artifact

    def _store(self, obj: Object, build: Build, data: bytes) -> None:
        status, metadata = obj["status"], obj["metadata"]
        place = f"helmchart/{metadata['namespace']}/{metadata['name']}/{build.name}-{build.version}.tgz"
        status["artifact"] = self.artifacts.store(place, data, build.version)
        status["observedChartName"] = build.name
        status.pop("observedValuesFiles", None)
        if obj["spec"].get("ignoreMissingValuesFiles") and build.values_files:
            status["observedValuesFiles"] = build.values_files
        status["url"] = self.artifacts.link(status["artifact"], "latest.tar.gz")


def _revision(obj: Object) -> str:
    return str(((obj.get("status") or {}).get("artifact") or {}).get("revision", ""))
