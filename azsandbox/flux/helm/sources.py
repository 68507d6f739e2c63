"""Where a release's chart comes from: the HelmChart of spec.chart, or what spec.chartRef names.

Rules and texts: helm-controller, internal/controller (helmrelease_controller.go, helmrelease_indexers.go).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import conditions
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.helm import engine, spec
from azsandbox.flux.helm.chart_template import SOURCE
from azsandbox.flux.helm.charts import BadChart, ChartArchive
from azsandbox.flux.helm.engine import Chart
from azsandbox.flux.helm.settings import Settings
from azsandbox.flux.semver import InvalidVersion, Version

CHART, OCI, EXTERNAL = "HelmChart", "OCIRepository", "ExternalArtifact"
RESOURCES = {CHART: "helmcharts", OCI: "ocirepositories", EXTERNAL: "externalartifacts"}
_DIGEST = 12  # characters of a digest that a version carries


class AccessDenied(Exception):
    """A source that may not be used, which no retry heals."""


class NoSource(Exception):
    """A source that cannot be read."""


class NoArtifact(Exception):
    """An artifact that is not in storage (yet)."""


class BadVersion(Exception):
    """A chart's version that does not go with its source's revision."""


def reference(obj: Object) -> tuple[str, str, str]:
    """Kind, namespace and name of a HelmRelease's source, as its spec has it."""
    ref = obj["spec"].get("chartRef")
    if ref:
        return str(ref["kind"]), str(ref.get("namespace") or obj["metadata"]["namespace"]), str(ref["name"])
    return CHART, spec.chart_namespace(obj), spec.chart_name(obj)


async def find(client: KubeClient, obj: Object, settings: Settings) -> Object:
    """The source. Raises AccessDenied, NoSource and StatusError."""
    kind, namespace, name = reference(obj)
    if settings.no_cross_namespace_refs and namespace != obj["metadata"]["namespace"]:
        what = f"cross-namespace references are not allowed: cannot access {kind} {namespace}/{name}"
        raise AccessDenied(what)
    if kind == EXTERNAL and not settings.external_artifacts:
        raise AccessDenied(f"can't access '{kind}/{namespace}/{name}', ExternalArtifact feature gate is disabled")
    found = await client.find(path(SOURCE, RESOURCES[kind], namespace, name))
    if found is None:
        raise NoSource(f'{kind}.{SOURCE.partition("/")[0]} "{name}" not found')
    return found


def not_ready(source: Object) -> str:
    """Why a source has no chart to take, or empty."""
    metadata, status = source["metadata"], source.get("status") or {}
    name = f"{source['kind']} '{metadata['namespace']}/{metadata['name']}' is not ready"
    if source["kind"] == EXTERNAL:
        return "" if status.get("artifact") else f"{name}: does not have an artifact"
    if status.get("observedGeneration") != metadata["generation"]:
        if conditions.is_false(source, conditions.READY):
            return f"{name}: {conditions.message(source, conditions.READY)}"
        return f"{name}: latest generation of object has not been reconciled"
    if conditions.is_true(source, conditions.STALLED):
        return f"{name}: {conditions.message(source, conditions.STALLED)}"
    return "" if status.get("artifact") else f"{name}: does not have an artifact"


async def load(artifacts: Artifacts, source: Object) -> Chart:
    """The chart in a source's artifact. Raises NoArtifact and BadChart."""
    artifact = source["status"]["artifact"]
    file = artifacts.file(artifact)
    if not file.is_file():
        raise NoArtifact
    if not artifacts.holds(artifact):
        raise BadChart(f"integrity failure: computed digest doesn't match '{artifact['digest']}'")
    return await engine.load(await asyncio.to_thread(ChartArchive.read, file.read_bytes()))


def with_revision(chart: Chart, source: Object, *, tracked: bool = True) -> tuple[Chart, str]:
    """A chart from an OCI repository, its version with the beginning of the artifact's digest; and that digest.

    So that a tag that comes to mean another artifact is seen as another version, if that is `tracked`.
    Raises BadVersion.
    """
    if not _has_digest(source):
        return chart, ""
    try:
        version = Version.parse(chart.version)
    except InvalidVersion:
        raise BadVersion(f"invalid chart version {chart.version}") from None
    revision = str(source["status"]["artifact"]["revision"])
    tag, at, digest = revision.partition("@")
    try:
        tagged: Version | None = Version.parse(tag.replace("_", "+") if at else tag)
    except InvalidVersion:
        tagged = None
    if tagged is None:
        digest = revision
    elif not at or tagged != version:
        raise BadVersion(f"artifact revision {tag} does not match chart version {chart.version}")
    algorithm, _, hexadecimal = digest.partition(":")
    if not algorithm or ":" in hexadecimal or len(hexadecimal) < _DIGEST:
        raise BadVersion(f"invalid artifact revision {digest}")
    if not tracked:
        return chart, digest
    text = str(replace(version, metadata=hexadecimal[:_DIGEST]))
    return Chart(chart.archive.of_version(text), {**chart.metadata, "version": text}, chart.definitions), digest


def _has_digest(source: Object) -> bool:
    """Whether a source's revisions are told apart by a digest."""
    if source["kind"] == EXTERNAL:
        return ":" in source["status"]["artifact"]["revision"]
    return bool(source["kind"] == OCI)


def revision_changed(old: Object, new: Object) -> bool:
    """Whether a change of a source gives its releases something to do."""
    before, after = (source.get("status", {}).get("artifact") for source in (old, new))
    if after and (not before or before["revision"] != after["revision"]):
        return True
    return not conditions.is_true(old, conditions.READY) and conditions.is_true(new, conditions.READY)


def wants(obj: Object, source: Object) -> bool:
    """Whether a HelmRelease has not taken up what its source has."""
    artifact = (source.get("status") or {}).get("artifact")
    if not artifact:
        return False
    status = obj.get("status") or {}
    if _has_digest(source):
        digest = artifact["revision"].rpartition("@")[2]
        same = digest == status.get("lastAttemptedRevisionDigest")
    else:
        same = artifact["revision"] == status.get("lastAttemptedRevision")
    busy = conditions.is_true(obj, conditions.READY) or conditions.is_true(obj, conditions.RECONCILING)
    return not (busy and same)
