"""Events of Flux's controllers: written to the cluster, and handed to notification-controller."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder, reference, timestamp

log = logging.getLogger(__name__)

NORMAL, WARNING, TRACE = "Normal", "Warning", "Trace"
EVENT_GROUP = "event.toolkit.fluxcd.io"  # annotations of this group on an object go with its events
_SEVERITIES = {WARNING: "error", NORMAL: "info"}

Receiver = Callable[[Object], Awaitable[None]]


class Notifications:
    """Where events go besides the cluster: notification-controller, while it runs (its address is --events-addr)."""

    def __init__(self) -> None:
        self.receivers: list[Receiver] = []

    async def post(self, event: Object) -> None:
        """Hands an event over. Nobody there to take it is no error, as with a controller that is down."""
        for receiver in list(self.receivers):
            try:
                await receiver(event)
            except Exception:
                log.exception("an event of %s was not taken", event["involvedObject"].get("name"))


class FluxRecorder:
    """Writes events of one controller (fluxcd/pkg/runtime/events)."""

    def __init__(self, client: KubeClient, controller: str, notifications: Notifications, instance: str = "") -> None:
        self.controller, self.notifications, self.instance = controller, notifications, instance
        self.cluster = EventRecorder(client, controller)

    async def event(
        self, obj: Object, kind: str, reason: str, message: str, metadata: dict[str, str] | None = None
    ) -> None:
        """An event of `kind` Normal, Warning or Trace about `obj`; `metadata` is what annotations it carries.

        A Trace goes to the cluster alone, as a Normal one.
        """
        own = obj["metadata"].get("annotations") or {}
        annotations = {
            **(metadata or {}),
            **{key: value for key, value in own.items() if key.startswith(EVENT_GROUP + "/")},
        }
        await self.cluster.event(
            obj, NORMAL if kind == TRACE else kind, reason, message, annotations=annotations or None
        )
        if kind == TRACE:
            return
        event: dict[str, Any] = {
            "involvedObject": reference(obj),
            "severity": _SEVERITIES[kind],
            "timestamp": timestamp(),
            "message": message,
            "reason": reason,
            "reportingController": self.controller,
            "reportingInstance": self.instance,
        }
        if annotations:
            event["metadata"] = annotations
        await self.notifications.post(event)
