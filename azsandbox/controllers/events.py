"""Events about objects, as client-go's recorder writes and counts them."""

from __future__ import annotations

import datetime as dt
import time

from azsandbox.clock import metav1_time
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.kubernetes.errors import StatusError


def timestamp(now: dt.datetime | None = None) -> str:
    """RFC 3339 in seconds, as metav1.Time."""
    return metav1_time(now or dt.datetime.now(dt.UTC))


def micro_timestamp(now: dt.datetime | None = None) -> str:
    """RFC 3339 in microseconds, as metav1.MicroTime."""
    return (now or dt.datetime.now(dt.UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def reference(obj: Object, field_path: str = "") -> Object:
    """An ObjectReference to `obj`."""
    metadata = obj["metadata"]
    found = {
        "kind": obj.get("kind", ""),
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "apiVersion": obj.get("apiVersion", ""),
        "resourceVersion": metadata.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {key: value for key, value in found.items() if value}


class EventRecorder:
    """Writes events of one component. The same event again raises its count instead (client-go, tools/record)."""

    def __init__(self, client: KubeClient, component: str, host: str = "") -> None:
        self.client, self.component, self.host = client, component, host
        self._seen: dict[tuple[str, ...], tuple[str, int]] = {}  # what → name and count

    async def event(
        self,
        obj: Object,
        kind: str,
        reason: str,
        message: str,
        field_path: str = "",
        annotations: dict[str, str] | None = None,
    ) -> None:
        """Records an event of `kind` Normal or Warning about `obj`. It never fails: events are best effort."""
        involved = reference(obj, field_path)
        namespace = involved.get("namespace") or "default"
        identity = (
            namespace,
            involved.get("uid", ""),
            involved["name"],
            involved["kind"],
            field_path,
            kind,
            reason,
            message,
        )
        now = timestamp()
        try:
            if identity in self._seen:
                name, count = self._seen[identity]
                change = {"count": count + 1, "lastTimestamp": now}
                await self.client.patch(path("v1", "events", namespace, name), change)
                self._seen[identity] = (name, count + 1)
                return
        except StatusError as error:
            if error.code != 404:
                return
        name = f"{involved['name']}.{time.time_ns():x}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": name,
                "namespace": namespace,
                **({"annotations": annotations} if annotations else {}),
            },
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": {"component": self.component, **({"host": self.host} if self.host else {})},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        }
        try:
            await self.client.create(path("v1", "events", namespace), event)
            if len(self._seen) > 4096:
                self._seen.clear()
            self._seen[identity] = (name, 1)
        except StatusError:
            return  # e.g. its namespace is going away
