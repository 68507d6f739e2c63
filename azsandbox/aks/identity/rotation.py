"""Rotation of the Secrets Store add-on: what is mounted is read again, and new versions reach files, statuses and Secrets.

AKS documentation, "Azure Key Vault provider for Secrets Store CSI Driver: configuration options" (enable and disable auto-rotation);
texts: kubernetes-sigs/secrets-store-csi-driver v1.5.4, pkg/rotation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from azsandbox.aks.identity.csi_mounts import DRIVER, CsiMounts, Volume, objects_of
from azsandbox.aks.identity.key_vault_provider import MountFailed
from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.kubernetes import go_duration

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

ADD_ON = "azureKeyvaultSecretsProvider"
INTERVAL = "2m"  # rotationPollInterval, where it is not said
COMPONENT = "csi-secrets-store-rotation"


class SecretRotation(Controller):
    """Reads the volumes of running pods again, at the add-on's interval."""

    name = "secrets-store-rotation"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self._pods: dict[str, Object] = {}  # with volumes of the driver
        self._some = asyncio.Event()  # there are such pods

    async def run(self) -> None:
        """Works until cancelled."""
        self.informers.of("v1", "pods").on_change(self._changed)
        await self.informers.synced()
        clock, mounts = self.options["clock"], self.mounts
        while True:
            rotates, seconds = self._settings()
            for pod in list(self._pods.values()):
                for volume in pod["spec"]["volumes"]:
                    if (volume.get("csi") or {}).get("driver") == DRIVER and _runs(pod):
                        await self._look(mounts, pod, volume, rotates)
            await clock.pause(seconds)
            await self._some.wait()

    @property
    def mounts(self) -> CsiMounts:
        """The driver."""
        found: CsiMounts = self.options["csi_mounts"]
        return found

    def _changed(self, kind: str, pod: Object, old: Object | None) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self.mounts.forget(uid)
            self._pods.pop(uid, None)
        elif any((volume.get("csi") or {}).get("driver") == DRIVER for volume in pod["spec"].get("volumes") or ()):
            self._pods[uid] = pod
            self._some.set()
        if not self._pods:
            self._some.clear()

    def _settings(self) -> tuple[bool, float]:
        """Whether the add-on rotates, and its interval in seconds."""
        stored = self.mounts.arm.resources.get(self.mounts.resource_id)
        add_ons = (stored.properties.get("addonProfiles") or {}) if stored else {}
        add_on = next((value for key, value in add_ons.items() if key.lower() == ADD_ON.lower()), None) or {}
        config = add_on.get("config") or {}
        on = bool(add_on.get("enabled")) and str(config.get("enableSecretRotation", "")).lower() == "true"
        try:
            return on, max(1.0, go_duration.parse(str(config.get("rotationPollInterval") or INTERVAL)))
        except ValueError:
            return on, go_duration.parse(INTERVAL)

    async def _look(self, mounts: CsiMounts, pod: Object, volume: Object, rotates: bool) -> None:
        key = (pod["metadata"]["uid"], volume["name"])
        known = mounts.volumes.get(key)
        if known is not None and (known.mounted is None or not rotates):
            return
        recorder = EventRecorder(mounts.client, COMPONENT)
        wanted = (volume["csi"].get("volumeAttributes") or {}).get("secretProviderClass", "")
        try:
            provider_class, mounted = await mounts.read(pod, volume)
        except MountFailed as failed:
            if known is not None:
                text = f"failed to rotate objects for pod {pod['metadata']['namespace']}/{pod['metadata']['name']}, err: {failed}"
                await recorder.event(pod, "Warning", "MountRotationFailed", text)
            return
        if known is None:  # after a restart of the sandbox: what was mounted is read again
            mounts.volumes[key] = Volume(mounted=mounted)
            return
        if objects_of(mounted) == objects_of(known.mounted or []):
            return
        known.mounted = mounted
        text = f"successfully rotated mounted contents for spc {pod['metadata']['namespace']}/{wanted}"
        await recorder.event(pod, "Normal", "MountRotationComplete", text)
        await mounts.update_status(pod, provider_class, mounted)
        for name in await mounts.sync(pod, provider_class, mounted):
            await recorder.event(pod, "Normal", "SecretRotationComplete", f"successfully rotated K8s secret {name}")


def _runs(pod: Object) -> bool:
    status = pod.get("status") or {}
    return (
        bool(status.get("podIP"))
        and status.get("phase") in ("Pending", "Running")
        and not (pod["metadata"].get("deletionTimestamp"))
    )


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives the kubelets of a managed cluster the driver, and the driver its rotation."""
    if cluster.options.get("resource_id"):
        cluster.add(SecretRotation, csi_mounts=CsiMounts(arm, cluster))
