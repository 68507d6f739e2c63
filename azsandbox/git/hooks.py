"""Web hooks of repositories, and the record of what was delivered."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from azsandbox.git import facts
from azsandbox.git.repositories import Settings, next_id
from azsandbox.store import Bucket

COLLECTION = "hooks"
DELIVERIES = "deliveries"
KEPT = 50  # deliveries of a hook


@dataclass
class Hook:
    """A hook: where events go, in which form, signed with which secret. Times are RFC 3339."""

    id: int
    url: str
    events: list[str]
    active: bool = True
    content_type: str = "form"
    insecure_ssl: str = "0"
    secret: str = ""
    created: str = ""
    updated: str = ""
    last_response: dict[str, Any] = field(default_factory=lambda: {"code": None, "status": "unused", "message": None})

    def wants(self, event: str) -> bool:
        """Whether an event goes to it."""
        return self.active and (event in self.events or "*" in self.events)


@dataclass
class Delivery:
    """One attempt to deliver an event: what was sent, and what came back. `duration` is in seconds; `status_code` is
    that of the answer, 0 when there was none."""

    id: int
    hook_id: int
    guid: str
    event: str
    action: str | None
    url: str
    repository_id: int
    delivered_at: str
    redelivery: bool = False
    duration: float = 0.0
    status: str = ""
    status_code: int = 0
    request: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """What is sent to hooks: `push`, `ping`, …, with its payload."""

    name: str
    payload: dict[str, Any]

    @property
    def action(self) -> str | None:
        """What happened, of events that tell."""
        return self.payload.get("action")


class Hooks:
    """All hooks and their latest deliveries, in the store."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __len__(self) -> int:
        return self._bucket.count(COLLECTION)

    def of(self, settings: Settings) -> list[Hook]:
        """Those of a repository, by id."""
        found = [Hook(**orjson.loads(r.value)) for r in self._bucket.list(COLLECTION, f"{settings.key}/")]
        return sorted(found, key=lambda hook: hook.id)

    def get(self, settings: Settings, number: int) -> Hook | None:
        """One, or None."""
        record = self._bucket.get(COLLECTION, f"{settings.key}/{number}")
        return Hook(**orjson.loads(record.value)) if record else None

    def new_id(self) -> int:
        """The id of the next hook."""
        return next_id(self._bucket, COLLECTION)

    def save(self, settings: Settings, hook: Hook) -> None:
        """Writes one."""
        self._bucket.put(COLLECTION, f"{settings.key}/{hook.id}", orjson.dumps(asdict(hook)))

    def delete(self, settings: Settings, hook: Hook) -> None:
        """Takes one away, with the record of its deliveries."""
        self._bucket.delete(COLLECTION, f"{settings.key}/{hook.id}")
        for record in self._bucket.list(DELIVERIES, f"{settings.key}/{hook.id}/"):
            self._bucket.delete(DELIVERIES, record.key)

    def forget(self, settings: Settings) -> None:
        """Deletes those of a repository."""
        for hook in self.of(settings):
            self.delete(settings, hook)

    # --- deliveries

    def next_delivery(self) -> int:
        """The id of the next delivery."""
        return next_id(self._bucket, DELIVERIES)

    def deliveries(self, settings: Settings, hook: Hook) -> list[Delivery]:
        """What was delivered, the latest first."""
        found = [Delivery(**orjson.loads(r.value)) for r in self._bucket.list(DELIVERIES, f"{settings.key}/{hook.id}/")]
        return sorted(found, key=lambda delivery: -delivery.id)

    def record(self, settings: Settings, delivery: Delivery) -> None:
        """Keeps a delivery, if its hook is still there, and forgets the oldest of too many."""
        hook = self.get(settings, delivery.hook_id)
        if hook is None:
            return
        hook.last_response = {
            "code": delivery.status_code or None,
            "status": "ok" if 200 <= delivery.status_code < 400 else "error",
            "message": delivery.status,
        }
        self.save(settings, hook)
        prefix = f"{settings.key}/{hook.id}/"
        self._bucket.put(DELIVERIES, f"{prefix}{delivery.id}", orjson.dumps(asdict(delivery)))
        for record in self._bucket.list(DELIVERIES, prefix)[:-KEPT]:
            self._bucket.delete(DELIVERIES, record.key)


def known_events() -> list[str]:
    """The events that the sandbox sends."""
    return list(facts.github()["webhookEvents"])
