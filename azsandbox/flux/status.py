"""Writing an object's status as a reconciliation goes, a patch of what changed each time."""

from __future__ import annotations

import asyncio
import contextlib

from azsandbox.controllers.client import JSON_PATCH, KubeClient, Object, Objects
from azsandbox.kubernetes.errors import StatusError

SOON = 0.5  # seconds


class StatusWriter:
    """The status of one object, from what the cluster had at first (fluxcd/pkg/runtime/patch, SerialPatcher).

    An inventory of hundreds of objects is not sent again with every step of a reconciliation.
    """

    def __init__(self, client: KubeClient, url: str, obj: Object) -> None:
        self.client, self.url = client, url
        self._written: Object | None = _parts(obj)
        self._lock = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    def write_soon(self, obj: Object) -> None:
        """Writes what changed in a moment, unless something is written before: a step that takes no time is not told."""
        if self._later is None:
            self._later = asyncio.create_task(self._write_later(obj), name="status of a step")

    def close(self) -> None:
        """Writes nothing any more."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    async def _write_later(self, obj: Object) -> None:
        await asyncio.sleep(SOON)
        self._later = None
        with contextlib.suppress(StatusError):  # the next write says what is wrong
            await self._write(obj)

    async def write(self, obj: Object) -> None:
        """Writes what changed since the last time. An object that has gone is no error."""
        self.close()
        await self._write(obj)

    async def _write(self, obj: Object) -> None:
        async with self._lock:
            await self._send(obj)

    async def _send(self, obj: Object) -> None:
        status: Object = _parts(obj) or {}
        patch = self._patch(status)
        if not patch:
            return
        try:
            await self.client.patch(self.url, patch, JSON_PATCH)
        except StatusError as error:
            if error.code != 404:
                raise
        self._written = status

    def _patch(self, status: Object) -> Objects:
        before = self._written
        if before is None:
            return [{"op": "add", "path": "/status", "value": status}] if status else []
        changed = [key for key, value in status.items() if key not in before or before[key] != value]
        return [
            *({"op": "add", "path": f"/status/{key}", "value": status[key]} for key in changed),
            *({"op": "remove", "path": f"/status/{key}"} for key in before if key not in status),
        ]


def _parts(obj: Object) -> Object | None:
    """The status as it is now. Its parts are replaced, never changed, so they need not be copied."""
    status = obj.get("status")
    return dict(status) if status is not None else None
