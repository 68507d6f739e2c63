"""One reconciliation of a Kustomization, and the ways in which it can end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from azsandbox.controllers.client import Object
from azsandbox.flux.expressions import HealthChecks
from azsandbox.flux.kstatus import Rule, completed_job
from azsandbox.flux.kustomize import history, sources
from azsandbox.flux.kustomize.overlay import Built
from azsandbox.flux.status import StatusWriter


class Failed(Exception):
    """A reconciliation that failed, and is tried again after the retry interval.

    `event` is what its event says, where that is not the message of the condition.
    """

    def __init__(self, reason: str, message: str, event: str = "") -> None:
        super().__init__(message)
        self.reason, self.event = reason, event or message


class Stalled(Exception):
    """A reconciliation that fails until the spec changes. `observed` where Flux takes note of the generation."""

    def __init__(self, reason: str, message: str, *, observed: bool = True) -> None:
        super().__init__(message)
        self.reason, self.observed = reason, observed


class Waiting(Exception):
    """A source or a dependency that is not there yet: looked at again after `after` seconds, None for a growing delay.

    `event` is what is said about it, if anything.
    """

    def __init__(self, reason: str, message: str, after: float | None, event: str = "") -> None:
        super().__init__(message)
        self.reason, self.after, self.event = reason, after, event


@dataclass
class Attempt:
    """One reconciliation: its object, where its status is written, and the artifact that is applied."""

    obj: Object
    writer: StatusWriter
    begun: float
    health_checks: HealthChecks
    artifact: Object

    @property
    def spec(self) -> Object:
        spec: Object = self.obj["spec"]
        return spec

    @property
    def status(self) -> Object:
        status: Object = self.obj.setdefault("status", {})
        return status

    @property
    def revision(self) -> str:
        return str(self.artifact["revision"])

    @property
    def origin(self) -> str:
        return sources.origin_of(self.artifact)

    def reader(self, group: str, kind: str) -> Rule | None:
        """How the status of a kind is read: a Job must complete, and some have expressions of their own."""
        if (group, kind) == ("batch", "Job"):
            return completed_job
        return self.health_checks.rule(group, kind)

    @property
    def is_new(self) -> bool:
        """Whether the revision is another than the last that was applied."""
        return bool(self.status.get("lastAppliedRevision") != self.revision)

    def record(self, built: Built, reason: str) -> None:
        """Notes in the history how it ended."""
        metadata = {"revision": self.revision} | ({"originRevision": self.origin} if self.origin else {})
        history.record(self.status, built.digest, time.monotonic() - self.begun, reason, metadata)
