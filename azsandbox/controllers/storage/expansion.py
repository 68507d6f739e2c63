"""Claims that grow: the note that someone outside has to resize their volume.

Rules and text: k8s.io/kubernetes, pkg/controller/volume/expand.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.storage.matching import requested
from azsandbox.kubernetes.quantity import Quantity


class VolumeExpansion(Controller):
    """Records ExternalExpanding events."""

    name = "expand-controller"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.recorder = EventRecorder(self.client, "volume_expand")
        self.claims = self.follow(informers.of("v1", "persistentvolumeclaims"))
        self.volumes = informers.of("v1", "persistentvolumes")
        self._told: dict[str, Quantity] = {}

    async def reconcile(self, key: str) -> None:
        claim = self.claims.get(key)
        if claim is None:
            self._told.pop(key, None)
            return
        status = claim.get("status") or {}
        if status.get("phase") != "Bound" or self.volumes.get(claim["spec"].get("volumeName") or "") is None:
            return
        wanted = requested(claim)
        if wanted <= Quantity.parse((status.get("capacity") or {}).get("storage", "0")):
            return
        if self._told.get(key) is None:
            self._told[key] = wanted
            text = "waiting for an external controller to expand this PVC"
            await self.recorder.event(claim, "Normal", "ExternalExpanding", text)
