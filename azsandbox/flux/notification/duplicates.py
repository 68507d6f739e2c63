"""Events that say the same again: notification-controller passes one on in five minutes (--rate-limit-interval)."""

from __future__ import annotations

import hashlib

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import group_of

INTERVAL = 300.0  # seconds


def identity(event: Object) -> str:
    """What two events have in common that say the same."""
    about, group = event["involvedObject"], group_of(event)
    parts = [
        "event",
        f"name={about.get('name', '')}",
        f"namespace={about.get('namespace', '')}",
        f"kind={about.get('kind', '')}",
        f"message={event.get('message', '')}",
    ]
    given = event.get("metadata") or {}
    parts += [
        f"{key}={given[f'{group}/{key}']}"
        for key in ("originRevision", "revision", "token")
        if f"{group}/{key}" in given
    ]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


class Duplicates:
    """Lets the first event of an identity through in each interval, counted from the very first. Times are seconds."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self.interval = interval
        self._seen: dict[str, tuple[float, int]] = {}  # identity → when it was first heard of, last interval used
        self._swept = 0.0

    def is_new(self, key: str, now: float) -> bool:
        """Whether an event goes through."""
        self._sweep(now)
        start, last = self._seen.get(key, (now, -1))
        current = int((now - start) / self.interval)
        self._seen[key] = (start, max(current, last))
        return current > last

    def _sweep(self, now: float) -> None:
        """Forgets those that have not been heard of for two intervals, once an interval."""
        if now - self._swept < self.interval:
            return
        self._swept = now
        old = [k for k, (start, last) in self._seen.items() if now - (start + last * self.interval) > 2 * self.interval]
        for key in old:
            del self._seen[key]
