"""VolumeAttachments of CSI volumes that pods use on nodes.

Rules and texts: k8s.io/kubernetes, pkg/controller/volume/attachdetach. The driver's part, attaching, is done at once.
Only with option `csi_drivers`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.pods import is_terminal
from azsandbox.controllers.storage.protection import claims_of
from azsandbox.kubernetes.errors import StatusError

API = "storage.k8s.io/v1"


def attachment_name(handle: str, driver: str, node: str) -> str:
    """As the CSI volume plugin names it."""
    return "csi-" + hashlib.sha256(f"{handle}{driver}{node}".encode()).hexdigest()


class AttachDetach(Controller):
    """One key: all attachments are worked out together."""

    name = "attachdetach-controller"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.drivers: frozenset[str] = frozenset(options.get("csi_drivers") or ())
        self.recorder = EventRecorder(self.client, "attachdetach-controller")
        self.pods = informers.of("v1", "pods")
        self.claims = informers.of("v1", "persistentvolumeclaims")
        self.volumes = informers.of("v1", "persistentvolumes")
        if self.drivers:
            self.attachments = informers.of(API, "volumeattachments")
            self.pods.on_change(self._pod_changed)
            self.follow(self.attachments, lambda _: ["all"])

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        if claims_of(pod):
            self.queue.add("all")

    def _wanted(self) -> dict[str, tuple[str, Object, Object]]:
        """Name of each attachment that there should be, with node, volume and pod."""
        found: dict[str, tuple[str, Object, Object]] = {}
        for pod in self.pods.list():
            node = pod["spec"].get("nodeName")
            if not node or is_terminal(pod):
                continue
            for key in claims_of(pod):
                claim = self.claims.get(key)
                volume = self.volumes.get(((claim or {}).get("spec") or {}).get("volumeName") or "")
                csi = ((volume or {}).get("spec") or {}).get("csi") or {}
                if volume is not None and csi.get("driver") in self.drivers:
                    found[attachment_name(csi["volumeHandle"], csi["driver"], node)] = (node, volume, pod)
        return found

    async def reconcile(self, key: str) -> None:
        wanted = self._wanted()
        url = path(API, "volumeattachments")
        for attachment in self.attachments.list():
            name = attachment["metadata"]["name"]
            if name not in wanted and attachment["spec"]["attacher"] in self.drivers:
                await self.client.gone(f"{url}/{name}")
        for name, (node, volume, pod) in wanted.items():
            if self.attachments.get(name) is not None:
                continue
            source = {"persistentVolumeName": volume["metadata"]["name"]}
            spec = {"attacher": volume["spec"]["csi"]["driver"], "nodeName": node, "source": source}
            made = {"apiVersion": API, "kind": "VolumeAttachment", "metadata": {"name": name}, "spec": spec}
            try:
                await self.client.create(url, made)
            except StatusError as error:
                if error.code == 409:
                    continue
                raise
            await self.client.patch(f"{url}/{name}/status", {"status": {"attached": True}})
            text = f'AttachVolume.Attach succeeded for volume "{volume["metadata"]["name"]}" '
            await self.recorder.event(pod, "Normal", "SuccessfulAttachVolume", text)
