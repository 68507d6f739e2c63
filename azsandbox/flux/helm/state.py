"""The state of a release, from Helm's storage, the object's history and the cluster (internal/reconcile/state.go)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from azsandbox.flux.helm import drift, history, post_render, releases, spec
from azsandbox.flux.helm.drift import Difference, DriftFailed
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.request import Request
from azsandbox.flux.helm.storage import ReleaseNotFound, StorageError


class Kind(StrEnum):
    """What a release can be found as."""

    ABSENT = "Absent"
    UNMANAGED = "Unmanaged"
    OUT_OF_SYNC = "OutOfSync"
    DRIFTED = "Drifted"
    LOCKED = "Locked"
    UNTESTED = "Untested"
    IN_SYNC = "InSync"
    FAILED = "Failed"


@dataclass(frozen=True)
class State:
    """What a release was found as, and why."""

    kind: Kind
    reason: str = ""
    differences: list[Difference] = field(default_factory=list)


class StateUnknown(Exception):
    """The state could not be told."""


async def determine(request: Request) -> State:
    """The state of an object's release. Raises StateUnknown."""
    obj = request.obj

    # What storage holds
    try:
        release = await request.storage.last(spec.short_name(spec.release_name(obj)))
    except ReleaseNotFound:
        return State(Kind.ABSENT, "no release in storage for object")
    except StorageError as error:
        raise StateUnknown(f"failed to retrieve last release from storage: {error}") from None
    status = str(release["info"].get("status", releases.UNKNOWN))
    if status in releases.PENDING:
        return State(Kind.LOCKED, f"release with status '{status}'")

    # Whether it is the one that was made for the object
    latest = history.latest(obj)
    if latest is None:
        if status == releases.UNINSTALLED:
            return State(Kind.ABSENT, "found uninstalled release in storage")
        return State(Kind.UNMANAGED, "found existing release in storage")
    wrong = _unverified(latest, release)
    if wrong:
        return State(Kind.UNMANAGED, wrong)

    # What has become of it
    if status == releases.FAILED:
        return State(Kind.FAILED)
    if status == releases.UNINSTALLED:
        return State(Kind.ABSENT, "found uninstalled release in storage")
    if status != releases.DEPLOYED:
        raise StateUnknown(f"unable to determine state for release with status '{status}'")
    found = _out_of_sync(request, release, latest) or _untested(request, latest)
    return found or await _drifted(request, release)


def _unverified(latest: history.Snapshot, release: Release) -> str:
    """Why a stored release is not the one that was observed, or empty."""
    if latest.get("apiVersion") != history.VERSION:
        return ""
    if not str(latest.get("digest", "")).startswith("sha256:"):
        return "release digest verification error"
    same = history.release_digest(release, latest.get("ociDigest", "")) == latest["digest"]
    return "" if same else "release not observed to be made for object"


def _out_of_sync(request: Request, release: Release, latest: history.Snapshot) -> State | None:
    """Whether the chart, the values or what is done to them have changed since."""
    obj, status = request.obj, request.obj["status"]
    chart = (release.get("chart") or {}).get("metadata") or {}
    if (chart.get("name"), chart.get("version")) != (request.the_chart.name, request.the_chart.version):
        return State(Kind.OUT_OF_SYNC, "release chart changed")
    if latest.get("configDigest") != history.config_digest(request.values):
        return State(Kind.OUT_OF_SYNC, "release config values changed")
    if status.get("observedGeneration") != obj["metadata"]["generation"]:
        if post_render.renderers_digest(obj) != status.get("observedPostRenderersDigest", ""):
            return State(Kind.OUT_OF_SYNC, "postrenderers digest has changed")
        if post_render.metadata_digest(obj) != status.get("observedCommonMetadataDigest", ""):
            return State(Kind.OUT_OF_SYNC, "common metadata digest has changed")
    return None


def _untested(request: Request, latest: history.Snapshot) -> State | None:
    """Whether tests are to be run, or have failed."""
    obj = request.obj
    if not spec.part(obj, "test").get("enable"):
        return None
    if not history.has_been_tested(latest):
        return State(Kind.UNTESTED)
    remediation = spec.active_remediation(obj)
    if remediation and not remediation.ignores_tests(obj) and history.has_failed_test(latest):
        return State(Kind.FAILED, "release has test in failed phase")
    return None


async def _drifted(request: Request, release: Release) -> State:
    if not spec.detects_drift(request.obj):
        return State(Kind.IN_SYNC)
    ignore = spec.part(request.obj, "driftDetection").get("ignore") or []
    try:
        others = request.settings.override_managers
        found, errors = await drift.differences(request.client, request.mapping, release, ignore, others)
    except DriftFailed as error:
        raise StateUnknown(f"unable to determine cluster state: {error}") from None
    if errors and not drift.changes(found):
        text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
        raise StateUnknown(f"unable to determine cluster state: {text}")
    if errors:
        request.say("diff of release against cluster state completed with error", level="error", error=errors[0])
    return State(Kind.DRIFTED, differences=found) if drift.changes(found) else State(Kind.IN_SYNC)
