"""The steps that a reconciliation can take: an action of Helm each, and what the object says of it.

Rules and texts: helm-controller, internal/reconcile (install.go, upgrade.go, test.go, unlock.go …).
"""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from azsandbox.flux import conditions
from azsandbox.flux.durations import go_duration
from azsandbox.flux.events import NORMAL, WARNING
from azsandbox.flux.helm import drift, history, releases, releasing, spec, undoing
from azsandbox.flux.helm.drift import Difference
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.history import Snapshot, full_name, versioned_chart
from azsandbox.flux.helm.logs import HelmLog
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.request import RELEASED, REMEDIATED, TEST_SUCCESS, Request
from azsandbox.flux.helm.spec import INSTALL, ROLLBACK, UNINSTALL, UPGRADE, Remediation
from azsandbox.flux.helm.storage import ReleaseNotFound

RELEASE, REMEDIATE, TESTING, UNLOCKING, CORRECTING = "release", "remediate", "test", "unlock", "drift correction"


class StepFailed(Exception):
    """A step failed and has changed nothing in storage, so that it is tried again."""


class Step(ABC):
    """A step, by its name in messages and its type: of each type a reconciliation takes one."""

    name: ClassVar[str]
    type: ClassVar[str]
    action: ClassVar[str] = ""  # the part of the spec that has its timeout

    @abstractmethod
    async def take(self, request: Request) -> None:
        """Takes the step. What failed after something was stored is in the status; else StepFailed is raised."""

    def timeout(self, request: Request) -> str:
        """How long it may take, as messages say it."""
        return go_duration(spec.timeout(request.obj, self.action))


class Observed:
    """The releases that an action has written, the last state of each version."""

    def __init__(self) -> None:
        self.releases: dict[int, Release] = {}
        self.last: Release | None = None

    def see(self, release: Release) -> None:
        self.last = self.releases[release["version"]] = copy.deepcopy(release)


class _Release(Step):
    """What install and upgrade have in common."""

    type = RELEASE
    word: ClassVar[str]
    succeeded: ClassVar[str]
    failed: ClassVar[str]

    async def take(self, request: Request) -> None:
        obj, log, seen = request.obj, HelmLog(), Observed()
        status = obj["status"]
        start = time.perf_counter()
        status["lastAttemptedReleaseAction"] = self.action
        if self.action == INSTALL:
            history.clear(obj)
        conditions.remove(obj, TEST_SUCCESS, REMEDIATED)
        action = request.action(log, seen.see)
        run = releasing.install if self.action == INSTALL else releasing.upgrade
        failure = ""
        try:
            await run(action, request.the_chart, request.values)
        except HelmFailed as error:
            failure = str(error).strip()
        status["lastAttemptedReleaseActionDuration"] = go_duration(time.perf_counter() - start)
        self._record(request, seen)
        if seen.last is not None:
            await request.take_inventory(seen.last)
        try:
            if not failure:
                await self._success(request)
                return
            await self._failure(request, failure, log)
            if not seen.releases:
                raise StepFailed(failure)
            Remediation.of(obj, self.action).count(obj)
        finally:
            request.summarize()

    def _record(self, request: Request, seen: Observed) -> None:
        """Adds what was written to the history: the newest version as new, what came of the one before in its place."""
        versions = sorted(seen.releases, reverse=True)
        if not versions:
            return
        digest = request.obj["status"].get("lastAttemptedRevisionDigest", "")
        history.prepend(request.obj, history.snapshot(seen.releases[versions[0]], digest, self.action))
        for version in versions[1:]:
            if history.replace(request.obj, seen.releases[version], action=""):
                return

    async def _success(self, request: Request) -> None:
        obj, latest = request.obj, history.latest(request.obj)
        message = succeeded(self.word, latest)
        conditions.mark(obj, RELEASED, "True", self.succeeded, message)
        if spec.part(obj, "test").get("enable") and not history.has_been_tested(latest):
            text = f"Helm release {full_name(latest)} with chart {versioned_chart(latest)} is awaiting tests"
            conditions.mark(obj, TEST_SUCCESS, "Unknown", "AwaitingTests", text)
        if spec.retry_interval(obj, self.action, by_default=request.settings.retries_by_default) is not None:
            spec.clear_failures(obj)
        await request.event_of(latest, NORMAL, self.succeeded, message)

    async def _failure(self, request: Request, failure: str, log: HelmLog) -> None:
        obj, chart = request.obj, request.the_chart
        name = f"{spec.release_namespace(obj)}/{spec.release_name(obj)}"
        message = f"Helm {self.word} failed for release {name} with chart {chart.name}@{chart.version}: {failure}"
        spec.fail(obj)
        conditions.mark(obj, RELEASED, "False", self.failed, message)
        await request.event_of_attempt(self.failed, log.after(message))


class Install(_Release):
    """Makes the first version of a release."""

    name = action = word = INSTALL
    succeeded, failed = "InstallSucceeded", "InstallFailed"


class Upgrade(_Release):
    """Makes the next version of a release."""

    name = action = word = UPGRADE
    succeeded, failed = "UpgradeSucceeded", "UpgradeFailed"


def succeeded(word: str, one: Snapshot | None) -> str:
    """What is said of a release that has been made."""
    return f"Helm {word} succeeded for release {full_name(one)} with chart {versioned_chart(one)}"


class Test(Step):
    """Runs the tests of the latest release."""

    name, type, action = "test", TESTING, "test"

    async def take(self, request: Request) -> None:
        obj = request.obj
        try:
            latest = copy.deepcopy(history.latest(obj))
            if latest is None:
                raise StepFailed("no latest release: required for test")
            failure = await self._run(request, latest)
            latest = history.latest(obj)
            if not failure:
                await self._success(request, latest)
                return
            await self._failure(request, latest, failure)
            if not history.has_been_tested(latest):
                raise StepFailed(failure)
        finally:
            request.summarize()

    async def _run(self, request: Request, latest: Snapshot) -> str:
        """Runs the tests; returns what went wrong, or empty."""
        obj = request.obj

        def see(release: Release) -> None:
            if history.targets(history.latest(obj), release) and history.replace(obj, release):
                filters = spec.part(obj, "test").get("filters") or []
                obj["status"]["history"][0]["testHooks"] = history.observed_test_hooks(release, filters)

        try:
            release = await undoing.test(request.action(HelmLog(), see))
        except HelmFailed as error:
            return str(error).strip()
        if history.targets(latest, release):
            return ""
        tested = f"{release['namespace']}/{release['name']}.v{release['version']}"
        return f"release mismatch: tested release {tested} != current release {full_name(latest)}"

    async def _success(self, request: Request, latest: Snapshot | None) -> None:
        count = len((latest or {}).get("testHooks") or {})
        hooks = f"{count} test hook{'s' if count > 1 else ''} completed successfully" if count else "no test hooks"
        what = f"Helm test succeeded for release {full_name(latest)} with chart {versioned_chart(latest)}"
        message = f"{what}: {hooks}"
        conditions.mark(request.obj, TEST_SUCCESS, "True", "TestSucceeded", message)
        await request.event_of(latest, NORMAL, "TestSucceeded", message)

    async def _failure(self, request: Request, latest: Snapshot | None, failure: str) -> None:
        obj = request.obj
        what = f"Helm test failed for release {full_name(latest)} with chart {versioned_chart(latest)}"
        message = f"{what}: {failure}"
        spec.fail(obj)
        conditions.mark(obj, TEST_SUCCESS, "False", "TestFailed", message)
        await request.event_of(latest, WARNING, "TestFailed", message)
        remediation = spec.active_remediation(obj)
        if history.has_been_tested(latest) and remediation and not remediation.ignores_tests(obj):
            remediation.count(obj)


class RollbackRemediation(Step):
    """Goes back to the previous release that went well."""

    name, type, action = ROLLBACK, REMEDIATE, ROLLBACK

    async def take(self, request: Request) -> None:
        obj, log, seen = request.obj, HelmLog(), Observed()
        try:
            latest = copy.deepcopy(history.latest(obj))
            previous = history.previous(obj, Remediation.of(obj, UPGRADE).ignores_tests(obj))
            if previous is None or latest is None:
                raise StepFailed("missing target release for rollback: required to rollback")
            if any(previous[field] != latest[field] for field in ("name", "namespace")):
                what = f"previous release name or namespace {full_name(previous)} does not match current"
                raise StepFailed(f"release mismatch: {what} {full_name(latest)}")
            previous = copy.deepcopy(previous)

            def see(release: Release) -> None:
                seen.see(release)
                if not history.replace(obj, release, action=ROLLBACK):
                    history.prepend(obj, history.snapshot(release))

            failure = ""
            try:
                await undoing.rollback(request.action(log, see), previous["name"], previous["version"])
            except HelmFailed as error:
                failure = str(error).strip()
            if seen.last is not None:
                await request.take_inventory(seen.last)
            await self._tell(request, previous, failure, log)
            if failure:
                newest = history.latest(obj)
                if newest is None or newest["digest"] == latest["digest"]:
                    raise StepFailed(failure)
        finally:
            request.summarize()

    async def _tell(self, request: Request, previous: Snapshot, failure: str, log: HelmLog) -> None:
        what = f"Helm rollback to previous release {full_name(previous)} with chart {versioned_chart(previous)}"
        values = history.config_digest(request.values)
        if failure:
            spec.fail(request.obj)
            message = f"{what} failed: {failure}"
            conditions.mark(request.obj, REMEDIATED, "False", "RollbackFailed", message)
            await request.event_of(previous, WARNING, "RollbackFailed", log.after(message), values)
            return
        message = f"{what} succeeded"
        conditions.mark(request.obj, REMEDIATED, "True", "RollbackSucceeded", message)
        await request.event_of(previous, NORMAL, "RollbackSucceeded", message, values)


class UninstallRemediation(Step):
    """Takes a release away that has failed."""

    name, type, action = UNINSTALL, REMEDIATE, UNINSTALL

    async def take(self, request: Request) -> None:
        obj, log = request.obj, HelmLog()
        latest = copy.deepcopy(history.latest(obj))
        if latest is None:
            raise StepFailed("no latest release: required to uninstall")
        failure = await uninstalled(request, latest, log, spec.UNINSTALL_REMEDIATION)
        newest = history.latest(obj)
        unchanged = newest is None or newest["digest"] == latest["digest"]
        if not failure and unchanged:
            failure = "uninstall completed with error: release not updated in Helm storage"
        what = f"Helm uninstall remediation for release {full_name(newest)} with chart {versioned_chart(newest)}"
        if failure:
            spec.fail(obj)
            message = f"{what} failed: {failure}"
            conditions.mark(obj, REMEDIATED, "False", "UninstallFailed", message)
            await request.event_of(newest, WARNING, "UninstallFailed", log.after(message))
            if unchanged:
                raise StepFailed(failure)
            return
        message = f"{what} succeeded"
        conditions.mark(obj, REMEDIATED, "True", "UninstallSucceeded", message)
        await request.event_of(newest, NORMAL, "UninstallSucceeded", message)


async def uninstalled(request: Request, latest: Snapshot, log: HelmLog, action: str) -> str:
    """Uninstalls the latest release; returns what went wrong, or empty. Raises undoing.Uninstalled for none."""
    obj = request.obj

    def see(release: Release) -> None:
        history.replace(obj, release, action=action)

    try:
        release = await undoing.uninstall(request.action(log, see), latest["name"])
    except undoing.Uninstalled:
        if action == UNINSTALL:
            raise
        return f"uninstall: Release not loaded: {latest['name']}: release: not found"
    except HelmFailed as error:
        return str(error).strip()
    if history.targets(latest, release):
        return ""
    other = f"{release['namespace']}/{release['name']}.v{release['version']}"
    return f"release mismatch: uninstalled release {other} != current release {full_name(latest)}"


def _renew(request: Request, release: Release) -> None:
    history.replace(request.obj, release)


class Unlock(Step):
    """Marks a release as failed that an action left half way."""

    name, type = "unlock", UNLOCKING

    async def take(self, request: Request) -> None:
        obj = request.obj
        try:
            storage = request.storage.observed_by(lambda release: _renew(request, release))
            try:
                release = await storage.last(spec.short_name(spec.release_name(obj)))
            except ReleaseNotFound:
                return
            status = release["info"].get("status", "")
            if status not in releases.PENDING:
                return
            one = history.snapshot(release, self._oci_digest(request, release))
            text = f"Helm release {full_name(one)} with chart {versioned_chart(one)} in {status} state"
            releases.set_status(release, releases.FAILED, f"Release unlocked from stale '{status}' state")
            try:
                await storage.update(release)
            except HelmFailed as error:
                message = f"Unlock of {text} failed: {error}"
                spec.fail(obj)
                conditions.mark(obj, RELEASED, "False", "PendingRelease", message)
                await request.event_of(one, WARNING, "PendingRelease", message)
                raise StepFailed(str(error)) from None
            conditions.mark(obj, RELEASED, "False", "PendingRelease", f"Unlocked {text}")
            await request.event_of(one, NORMAL, "PendingRelease", f"Unlocked {text}")
        finally:
            request.summarize()

    @staticmethod
    def _oci_digest(request: Request, release: Release) -> str:
        known = (one for one in history.snapshots(request.obj) if history.targets(one, release))
        return next((str(one.get("ociDigest", "")) for one in known), "")


class CorrectDrift(Step):
    """Sets objects right that differ from the release."""

    name, type = "correct cluster drift", CORRECTING

    def __init__(self, found: list[Difference]) -> None:
        self.found = found

    async def take(self, request: Request) -> None:
        conditions.mark(request.obj, conditions.READY, "Unknown", "Progressing", "correcting cluster drift")
        result = await drift.corrected(request.client, request.mapping, self.found)
        latest = history.latest(request.obj)
        entries = "\n".join(result.entries)
        if result.errors:
            partly = "partially " if result.entries else ""
            errors = "\n".join(result.errors)
            message = f"Failed to {partly}correct cluster state of release {full_name(latest)}:\n{errors}"
            if entries:
                message += f"\n\nSuccessful corrections:\n{entries}"
            await request.event_of(latest, WARNING, "DriftCorrectionFailed", message)
        elif entries:
            message = f"Cluster state of release {full_name(latest)} has been corrected:\n{entries}"
            await request.event_of(latest, NORMAL, "DriftCorrected", message)
