"""Reading what the checks need: once, a page at a time, and never more than was asked for.

`collect` is the only place where checks meet a network. It reads the sources that it is asked for and those that
they depend on, keeps of each object the fields that a check looks at, and notes for a source that it could not
read why: a refusal (401, 403) makes what depends on it unknown, never failed. What a source is stands in
`cluster_sources`, `gitops_sources`, `governance_sources`, `identity_sources` and `workload_sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from labkit.checks.core import Status, Unread
from labkit.checks.evidence import LIMIT, Evidence, Object, Problem
from labkit.checks.facts import right_to_read
from labkit.checks.lookup import at, same
from labkit.errors import LabError, ReadError
from labkit.readers import Arm, Kubernetes, Logs
from labkit.settings import Settings

Reader = Callable[["Collector"], Any]


@cache
def readers() -> Mapping[str, Reader]:
    """Every source that a check may name, and how it is read."""
    from labkit.checks import cluster_sources, gitops_sources, governance_sources, identity_sources, workload_sources

    parts = (cluster_sources, gitops_sources, governance_sources, identity_sources, workload_sources)
    return {source: reader for part in parts for source, reader in part.READERS.items()}


def collect(
    sources: Iterable[str],
    settings: Settings,
    *,
    subscription_id: str = "",
    arm: Arm | None = None,
    kubernetes: Callable[[], Kubernetes] | None = None,
    checkout: Path | None = None,
    logs: Callable[[], Logs] | None = None,
    now: datetime | None = None,
) -> Evidence:
    """Evidence from `sources` and what they depend on, each read once.

    `kubernetes` is called only if a source of the cluster's API is asked for; it may raise LabError, for example
    when nobody may fetch a kubeconfig. `checkout` is where the learner's repository is; `logs` is called only for a
    source that queries Log Analytics. Nothing is raised for a source that cannot be read.
    """
    evidence = Evidence(settings, now or datetime.now(UTC), settings.profile, subscription_id)
    collector = Collector(evidence, arm, kubernetes, checkout, logs)
    for source in sources:
        collector.want(source)
    return evidence


class Collector:
    """Reads each source at most once, with what it depends on first."""

    def __init__(
        self,
        evidence: Evidence,
        arm: Arm | None,
        kubernetes: Callable[[], Kubernetes] | None,
        checkout: Path | None = None,
        logs: Callable[[], Logs] | None = None,
    ) -> None:
        self.evidence = evidence
        self.checkout = checkout
        self._logs = logs
        self._arm = arm
        self._kubernetes = kubernetes
        self._client: Kubernetes | None = None
        self._no_client: Problem | None = None

    def want(self, source: str) -> Any:
        """What `source` holds, or the Problem; reads it the first time."""
        kept = self.evidence.sources
        if source not in kept:
            try:
                kept[source] = readers()[source](self)
            except ReadError as error:
                kept[source] = problem_of(source, error)
            except Unread as unread:
                kept[source] = Problem(unread.status, unread.reason, unread.object_id, unread.next_command)
            except LabError as error:
                reason = f"{source} was not read: {error.message}"
                kept[source] = Problem(Status.UNKNOWN, reason, next_command=error.next_command)
        return kept[source]

    def arm(self) -> Arm:
        if self._arm is None:
            raise Unread(
                Status.UNKNOWN, "this target gives Kubernetes to read, and not Azure", next_command="labkit use aks"
            )
        return self._arm

    def logs(self) -> Logs:
        if self._logs is None:
            raise Unread(Status.UNKNOWN, "this target gives no Log Analytics to query", next_command="labkit use aks")
        return self._logs()

    def needed(self, source: str) -> Any:
        """What `source` holds; raises Unread for what depends on it when it was not read."""
        found = self.want(source)
        if isinstance(found, Problem):
            raise Unread(found.status, found.reason, found.object_id, found.next_command)
        return found

    def cluster(self) -> Object:
        """The cluster; raises Unread for what depends on it when there is none."""
        return dict(self.needed("cluster"))

    def kubernetes(self) -> Kubernetes:
        """The API server's reader; a cluster that is stopped, or not there, is skipped."""
        if self._arm is not None:
            cluster = self.cluster()
            if same(at(cluster, "properties.powerState.code"), "Stopped"):
                raise Unread(Status.SKIP, "the cluster is stopped, so its Kubernetes API does not answer")
        if self._kubernetes is None:
            raise Unread(Status.UNKNOWN, "this target gives no Kubernetes API to read")
        if self._client is None:
            self._client = self._kubernetes()
        return self._client


def problem_of(source: str, error: ReadError) -> Problem:
    """What a source that could not be read makes of the checks that need it."""
    if error.code == "Unauthenticated":
        return Problem(Status.UNKNOWN, f"{source} was not read: {error.message}", next_command=error.next_command)
    if error.denied:
        ask = f"ask for {right_to_read(source)}, and check again"
        return Problem(Status.UNKNOWN, f"you may not read {source}: {error.message}", next_command=ask)
    again = error.next_command or "labkit status"
    return Problem(Status.UNKNOWN, f"{source} could not be read: {error.message}", next_command=again)


def bounded(
    pages: Iterator[list[Object]],
    what: str,
    names: tuple[str, ...] = (),
    keep: Callable[[Object], Object | None] | None = None,
) -> list[Object]:
    """The items of `pages`, each cut down to what a check looks at. Raises Unread past LIMIT.

    One for which `keep` answers None is left out, and does not count.
    """
    kept: list[Object] = []
    for page in pages:
        for item in page:
            part = keep(item) if keep else {key: item[key] for key in names if key in item} if names else item
            if part is None:
                continue
            if len(kept) >= LIMIT:
                raise Unread(Status.UNKNOWN, f"there are more than {LIMIT} {what}; the checks keep no more in memory")
            kept.append(part)
    return kept
