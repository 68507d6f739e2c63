"""Statuses of commits: what a CI, or Flux, says of a commit, by context."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from azsandbox.git import facts
from azsandbox.git.repositories import Settings, next_id
from azsandbox.store import Bucket

COLLECTION = "statuses"
STATES = ("error", "failure", "pending", "success")


class Full(Exception):
    """A commit has as many statuses of a context as there may be."""


@dataclass(frozen=True)
class Status:
    """One status; `created` is RFC 3339."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: str
    created: str


class Statuses:
    """All statuses, in the store."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def add(
        self,
        settings: Settings,
        sha: str,
        state: str,
        *,
        context: str,
        description: str | None,
        target_url: str | None,
        creator: str,
        created: str,
    ) -> Status:
        """Adds one. Raises Full."""
        most = facts.github()["limits"]["statusesOfACommit"]
        if sum(1 for status in self.of(settings, sha) if status.context == context) >= most:
            raise Full("This SHA and context has reached the maximum number of statuses.")
        made = Status(next_id(self._bucket, COLLECTION), sha, state, context, description, target_url, creator, created)
        self._bucket.put(COLLECTION, f"{settings.key}/{sha}/{made.id}", orjson.dumps(asdict(made)))
        return made

    def of(self, settings: Settings, sha: str) -> list[Status]:
        """Those of a commit, the latest first."""
        found = self._bucket.list(COLLECTION, f"{settings.key}/{sha}/")
        return sorted((Status(**orjson.loads(r.value)) for r in found), key=lambda status: -status.id)

    def latest(self, settings: Settings, sha: str) -> list[Status]:
        """The latest of each context, in the order in which they came."""
        by_context: dict[str, Status] = {}
        for status in self.of(settings, sha):
            by_context.setdefault(status.context, status)
        return sorted(by_context.values(), key=lambda status: status.id)

    def forget(self, settings: Settings) -> None:
        """Deletes those of a repository."""
        for record in self._bucket.list(COLLECTION, f"{settings.key}/"):
            self._bucket.delete(COLLECTION, record.key)
