"""Writing a Kustomization's status as it goes, a patch of what changed each time."""

from __future__ import annotations

import copy

from azsandbox.controllers.client import JSON_PATCH, KubeClient, Object, Objects
from azsandbox.kubernetes.errors import StatusError


class StatusWriter:
    """The status of one object, from what the cluster had at first (fluxcd/pkg/runtime/patch, SerialPatcher).

    An inventory of hundreds of objects is not sent again with every step of a reconciliation.
    """

    def __init__(self, client: KubeClient, url: str, obj: Object) -> None:
        self.client, self.url = client, url
        self._written: Object | None = copy.deepcopy(obj.get("status"))

    async def write(self, obj: Object) -> None:
        """Writes what changed since the last time. An object that has gone is no error."""
        status: Object = obj.get("status") or {}
        patch = self._patch(status)
        if not patch:
            return
        try:
            await self.client.patch(self.url, patch, JSON_PATCH)
        except StatusError as error:
            if error.code != 404:
                raise
        self._written = copy.deepcopy(status)

    def _patch(self, status: Object) -> Objects:
        before = self._written
        if before is None:
            return [{"op": "add", "path": "/status", "value": status}] if status else []
        changed = [key for key, value in status.items() if key not in before or before[key] != value]
        return [
            *({"op": "add", "path": f"/status/{key}", "value": status[key]} for key in changed),
            *({"op": "remove", "path": f"/status/{key}"} for key in before if key not in status),
        ]
