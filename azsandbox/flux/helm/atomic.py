"""A reconciliation's steps, one after the other until the release is as it should be, or there is nothing left to try.

Rules, order of status writes and texts: helm-controller, internal/reconcile/atomic_release.go.
"""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.flux import conditions
from azsandbox.flux.conditions import READY, RECONCILING
from azsandbox.flux.durations import go_duration
from azsandbox.flux.events import WARNING
from azsandbox.flux.helm import drift, history, spec
from azsandbox.flux.helm.history import full_name
from azsandbox.flux.helm.request import DRIFTED, RELEASED, REMEDIATED, Request
from azsandbox.flux.helm.spec import INSTALL, ROLLBACK, UPGRADE, Remediation
from azsandbox.flux.helm.state import Kind, State, StateUnknown, determine
from azsandbox.flux.helm.steps import (
    RELEASE,
    REMEDIATE,
    CorrectDrift,
    Install,
    RollbackRemediation,
    Step,
    StepFailed,
    Test,
    UninstallRemediation,
    Unlock,
    Upgrade,
    succeeded,
)
from azsandbox.flux.helm.storage import ReleaseNotFound, StorageError

FORCED = "reconcile.fluxcd.io/forceAt"
RESET = "reconcile.fluxcd.io/resetAt"
REQUESTED = "reconcile.fluxcd.io/requestedAt"


class Again(Exception):
    """To be tried again soon; the status says why."""


class RetryIn(Exception):
    """To be tried again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"retry after {go_duration(seconds)}")
        self.seconds = seconds


class GivenUp(Exception):
    """Nothing more is tried until something changes."""


class NoTarget(GivenUp):
    """There is nothing to roll back to."""


def requested_once(obj: Object, annotation: str, field: str) -> bool:
    """Whether an annotation asks for something that it has not been answered yet; it counts with requestedAt alone."""
    annotations, status = obj["metadata"].get("annotations") or {}, obj["status"]
    asked = annotations.get(annotation)
    if not asked:
        return False
    handled = status.get("lastHandledReconcileAt") == annotations.get(REQUESTED)
    before = status.get(field)
    status[field] = asked
    return bool(asked == annotations.get(REQUESTED) and not handled and asked != before)


async def reconcile(request: Request) -> None:
    """Takes the steps that a release needs. Raises Again, RetryIn and GivenUp where it is not as it should be by then."""
    obj = request.obj
    taken: set[str] = set()
    while True:
        # What there is, and what that calls for
        try:
            state = await determine(request)
        except StateUnknown as error:
            conditions.mark(obj, READY, "False", "StateError", f"Could not determine release state: {error}")
            raise Again(f"cannot determine release state: {error}") from None
        step = await _next_step(request, state)
        if step is None:
            conditions.remove(obj, RECONCILING)
            request.summarize()
            return

        # One step of a type is all that a reconciliation takes
        if step.type in taken:
            _stop(request, given_up=False)
            return

        # The object says what is going on
        message = f"Running '{step.name}' action with timeout of {step.timeout(request)}"
        conditions.mark_reconciling(obj, "Progressing", message)
        if step.type == RELEASE:
            conditions.mark(obj, READY, "Unknown", "Progressing", message)
        await request.save()
        request.say(f"running '{step.name}' action with timeout of {step.timeout(request)}")
        try:
            await step.take(request)
        except StepFailed as error:
            _retry_later(request)
            if conditions.is_true(obj, READY):
                conditions.mark(obj, READY, "False", "ReconcileError", str(error))
            raise Again(str(error)) from None

        # A remediation is the last
        if step.type == REMEDIATE:
            _stop(request, given_up=True)
        taken.add(step.type)
        await request.save()


def _retry_later(request: Request) -> None:
    """Raises RetryIn where the strategy of the action that was attempted is to try again."""
    seconds = request.retry
    if seconds is not None:
        conditions.mark_reconciling(request.obj, "ProgressingWithRetry", f"retrying after {go_duration(seconds)}")
        raise RetryIn(seconds)


def _stop(request: Request, *, given_up: bool) -> None:
    """Ends the reconciliation for now: raises what says when to go on. With `given_up`, having none left is final."""
    _retry_later(request)
    obj = request.obj
    remediation = spec.active_remediation(obj)
    goes_on = remediation is None or not remediation.exhausted(obj)
    if given_up and remediation is not None and remediation.uninstalls_after_upgrade:
        goes_on = True
    if goes_on:
        conditions.mark_reconciling(obj, "ProgressingWithRetry", conditions.message(obj, READY))
        raise Again("must requeue")
    if given_up:
        raise _exceeded(obj, "cannot remediate failed release")
    conditions.remove(obj, RECONCILING)


def _exceeded(obj: Object, what: str) -> GivenUp:
    """Says that all attempts are used up."""
    remediation = spec.active_remediation(obj)
    count = remediation.failures(obj) if remediation else 0
    action = obj["status"].get("lastAttemptedReleaseAction", "")
    conditions.mark_stalled(obj, "RetriesExceeded", f"Failed to {action} after {count} attempt(s)")
    return GivenUp(f"exceeded maximum retries: {what}")


async def _next_step(request: Request, state: State) -> Step | None:
    """The step that a state calls for, None for none."""
    obj = request.obj
    forced = requested_once(obj, FORCED, "lastHandledForceAt")
    because = f": {state.reason}" if state.reason else ""
    if state.kind == Kind.IN_SYNC:
        return _in_sync(request, forced)
    if state.kind == Kind.LOCKED:
        request.say(f"release locked{because}")
        return Unlock()
    if state.kind == Kind.ABSENT:
        request.say(f"release not installed{because}")
        if Remediation.of(obj, INSTALL).exhausted(obj):
            if not forced:
                raise _exceeded(obj, "cannot install release")
            request.say("forcing install while out of retries: force requested through annotation")
        return Install()
    if state.kind == Kind.UNMANAGED:
        request.say(f"release not managed by controller{because}")
        history.clear(obj)
        return Upgrade()
    if state.kind == Kind.OUT_OF_SYNC:
        request.say(f"release out-of-sync with desired state{because}")
        if Remediation.of(obj, UPGRADE).exhausted(obj):
            if not forced:
                raise _exceeded(obj, "cannot upgrade release")
            request.say("forcing upgrade while out of retries: force requested through annotation")
        return Upgrade()
    if state.kind == Kind.DRIFTED:
        return await _drifted(request, state)
    if state.kind == Kind.UNTESTED:
        request.say("release has not been tested")
        _forget_remediation(obj)
        return Test()
    request.say(f"release is in a failed state{because}")
    return await _failed(request, forced)


def _in_sync(request: Request, forced: bool) -> Step | None:
    obj = request.obj
    request.say("release in-sync with desired state")
    if request.retry is not None:
        history.keep_newest(obj)
    else:
        remediation = spec.active_remediation(obj)
        ignores = bool(spec.part(obj, "test").get("ignoreFailures"))
        history.truncate(obj, remediation.ignores_tests(obj) if remediation else ignores)
    if forced:
        request.say("forcing upgrade for in-sync release: force requested through annotation")
        return Upgrade()
    _forget_remediation(obj)
    if not conditions.is_true(obj, READY) or not conditions.is_true(obj, RELEASED):
        word = {"InstallFailed": INSTALL, "UpgradeFailed": UPGRADE}.get(conditions.reason(obj, RELEASED))
        if word:
            message = succeeded(word, history.latest(obj))
            conditions.mark(obj, RELEASED, "True", f"{word.capitalize()}Succeeded", message)
            request.summarize()
    if spec.detects_drift(obj):
        text = "No drift detected against the cluster state"
        conditions.mark(obj, DRIFTED, "False", "NoDriftDetected", text)
    return None


def _forget_remediation(obj: Object) -> None:
    """A release that was rolled back to and is what is wanted now counts as upgraded, as of the rollback."""
    old = conditions.find(obj, REMEDIATED)
    if old is None or old["status"] != "True":
        return
    conditions.remove(obj, REMEDIATED, RELEASED)
    conditions.mark(obj, RELEASED, "True", "UpgradeSucceeded", succeeded(UPGRADE, history.latest(obj)))
    new = conditions.find(obj, RELEASED)
    if new is not None:
        new["lastTransitionTime"] = old["lastTransitionTime"]


async def _drifted(request: Request, state: State) -> Step | None:
    obj = request.obj
    request.say(f"detected changes in cluster state: {drift.brief(state.differences)}")
    name = full_name(history.latest(obj))
    message = f"Cluster state of release {name} has drifted from the desired state:\n{drift.summary(state.differences)}"
    await request.recorder.event(obj, WARNING, "DriftDetected", message)
    conditions.mark(obj, DRIFTED, "True", "DriftDetected", message)
    return CorrectDrift(state.differences) if spec.drift_mode(obj) == "enabled" else None


async def _failed(request: Request, forced: bool) -> Step:
    """What is done about a failed release: it is upgraded, or put right in the way that the spec says."""
    obj = request.obj
    if request.retry is not None:
        history.keep_newest(obj)
        return Upgrade()
    remediation = spec.active_remediation(obj)
    if remediation is None:
        return Upgrade()
    if remediation.failures(obj) <= 0:
        request.say("release conditions have changed since last failure")
        return Upgrade()
    if forced:
        request.say("forcing upgrade for failed release: force requested through annotation")
        return Upgrade()
    if remediation.exhausted(obj) and not remediation.remediate_last:
        raise _exceeded(obj, "cannot remediate failed release")
    ignores = remediation.ignores_tests(obj)
    history.truncate(obj, ignores)
    if remediation.strategy != ROLLBACK:
        return UninstallRemediation()

    # The release to go back to must still be what it was
    previous = history.previous(obj, ignores)
    if previous is None:
        text = "missing target release for rollback: cannot remediate failed release"
        conditions.mark_stalled(obj, "MissingRollbackTarget", f"Failed to perform remediation: {text}")
        raise NoTarget(text)
    try:
        release = await request.storage.get(previous["name"], previous["version"])
    except ReleaseNotFound:
        wrong = "release disappeared from storage"
    except StorageError as error:
        raise Again(f"cannot verify previous release to roll back to: {error}") from None
    else:
        same = history.release_digest(release, previous.get("ociDigest", "")) == previous["digest"]
        wrong = "" if same else "release not observed to be made for object"
    if wrong:
        request.say(f"unable to verify previous release in storage to roll back to: {wrong}")
        return Upgrade()
    return RollbackRemediation()
