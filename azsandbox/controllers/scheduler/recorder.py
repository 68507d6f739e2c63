"""Events of the scheduler, in the newer form: a time, an action, a related object, and series of repeats.

Rules: k8s.io/client-go, package tools/events.
"""

from __future__ import annotations

import socket
import time

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import micro_timestamp, reference
from azsandbox.kubernetes.errors import StatusError

API = "events.k8s.io/v1"
SERIES_ENDS = 360.0  # seconds without a repeat
NOTE_LIMIT = 1024


class SeriesRecorder:
    """Writes events.k8s.io/v1 events of one component."""

    def __init__(self, client: KubeClient, component: str) -> None:
        self.client, self.component = client, component
        self.instance = f"{component}-{socket.gethostname()}"
        self._seen: dict[tuple[str, ...], tuple[str, int, float]] = {}  # what → name, count, when last

    async def event(
        self, obj: Object, kind: str, reason: str, action: str, note: str, related: Object | None = None
    ) -> None:
        """Records an event; a repeat within six minutes makes it a series. It never fails: events are best effort."""
        if len(note) > NOTE_LIMIT:
            note = note[: NOTE_LIMIT - 4] + " ..."
        regarding = reference(obj)
        namespace = regarding.get("namespace") or "default"
        identity = (regarding.get("uid", ""), action, kind, reason, note)
        now = micro_timestamp()
        try:
            seen = self._seen.get(identity)
            if seen is not None and time.monotonic() - seen[2] < SERIES_ENDS:
                name, count = seen[0], seen[1] + 1
                self._seen[identity] = (name, count, time.monotonic())
                series = {"series": {"count": count, "lastObservedTime": now}}
                await self.client.patch(path(API, "events", namespace, name), series)
                return
            name = f"{regarding['name']}.{time.time_ns():x}"
            event: Object = {
                "apiVersion": API,
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "eventTime": now,
                "reportingController": self.component,
                "reportingInstance": self.instance,
                "action": action,
                "reason": reason,
                "regarding": regarding,
                "note": note,
                "type": kind,
            }
            if related is not None:
                event["related"] = reference(related)
            if len(self._seen) > 4096:
                self._seen.clear()
            self._seen[identity] = (name, 1, time.monotonic())
            await self.client.create(path(API, "events", namespace), event)
        except StatusError:
            self._seen.pop(identity, None)  # e.g. its namespace is going away, or the event has expired
