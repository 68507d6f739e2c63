"""Binds claims to volumes, asks provisioners for new ones, and takes volumes back when claims go.

Rules and texts: k8s.io/kubernetes, pkg/controller/volume/persistentvolume.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, key_of
from azsandbox.controllers.storage.matching import (
    BETA_STORAGE_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    NO_PROVISIONER,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    capacity,
    claim_class,
    find_volume,
    is_delayed,
    is_volume_of,
    requested,
    same_mode,
    volume_class,
)
from azsandbox.kubernetes.errors import StatusError

CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


def mismatch(volume: Object, claim: Object) -> str:
    """Why a volume that a claim names does not satisfy it; "" if it does."""
    if volume["metadata"].get("deletionTimestamp"):
        return "the volume is marked for deletion"
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if volume_class(volume) != claim_class(claim):
        return "storageClassName does not match"
    if not same_mode(claim, volume):
        return "incompatible volumeMode"
    if not set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


class PersistentVolumes(Controller):
    """Keys are claims `namespace/name` and volumes `/name`."""

    name = "persistentvolume-binder"
    account = "persistent-volume-binder"
    workers = 1  # two claims must not take the same volume

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.recorder = EventRecorder(self.client, "persistentvolume-controller")
        self.claims = informers.of("v1", CLAIMS)
        self.volumes = informers.of("v1", VOLUMES)
        self.classes = informers.of("storage.k8s.io/v1", "storageclasses")
        self._told: dict[str, str] = {}
        self.claims.on_change(self._claim_changed)
        self.volumes.on_change(self._volume_changed)
        self.classes.on_change(self._class_changed)

    def _claim_changed(self, kind: str, claim: Object, old: Object | None) -> None:
        self.queue.add(key_of(claim))
        if kind == "DELETED":
            self._told.pop(claim["metadata"]["uid"], None)
            for volume in self.volumes.list():
                if is_volume_of(claim, volume):
                    self.queue.add(f"/{volume['metadata']['name']}")

    def _volume_changed(self, kind: str, volume: Object, old: Object | None) -> None:
        self.queue.add(f"/{volume['metadata']['name']}")
        reference = volume["spec"].get("claimRef")
        if reference:
            self.queue.add(f"{reference.get('namespace')}/{reference.get('name')}")
            return
        for claim in self.claims.list():
            if (claim.get("status") or {}).get("phase", "Pending") == "Pending":
                self.queue.add(key_of(claim))

    def _class_changed(self, kind: str, class_: Object, old: Object | None) -> None:
        for claim in self.claims.list():
            if claim_class(claim) == class_["metadata"]["name"] and not claim["spec"].get("volumeName"):
                self.queue.add(key_of(claim))

    async def reconcile(self, key: str) -> None:
        if key.startswith("/"):
            volume = self.volumes.get(key[1:])
            if volume is not None:
                await self._volume(volume)
            return
        claim = self.claims.get(key)
        if claim is None:
            return
        if BIND_COMPLETED in (claim["metadata"].get("annotations") or {}):
            await self._bound_claim(claim)
        elif not claim["metadata"].get("deletionTimestamp"):
            await self._unbound_claim(claim)

    # claims

    async def _unbound_claim(self, claim: Object) -> None:
        name = claim["spec"].get("volumeName")
        if name:
            volume = self.volumes.get(name)
            if volume is None:
                return
            if is_volume_of(claim, volume):
                await self._bind(volume, claim)
            elif volume["spec"].get("claimRef"):
                await self._tell(
                    claim, "Warning", "FailedBinding", f'volume "{name}" already bound to a different claim.'
                )
            else:
                problem = mismatch(volume, claim)
                if problem:
                    text = f'Cannot bind to requested volume "{name}": {problem}'
                    await self._tell(claim, "Warning", "VolumeMismatch", text)
                else:
                    await self._bind(volume, claim)
            return
        selected = SELECTED_NODE in (claim["metadata"].get("annotations") or {})
        delayed = is_delayed(claim, self.classes.get)
        candidates = self.volumes.list()
        if delayed:
            candidates = [volume for volume in candidates if is_volume_of(claim, volume)]
        volume = find_volume(claim, candidates)
        if volume is not None:
            await self._bind(volume, claim)
        elif delayed and not selected:
            text = "waiting for first consumer to be created before binding"
            await self._tell(claim, "Normal", "WaitForFirstConsumer", text)
        elif claim_class(claim):
            await self._provision(claim)
        else:
            text = "no persistent volumes available for this claim and no storage class is set"
            await self._tell(claim, "Normal", "FailedBinding", text)

    async def _provision(self, claim: Object) -> None:
        name = claim_class(claim)
        class_ = self.classes.get(name)
        if class_ is None:
            await self._tell(claim, "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found')
            return
        provisioner = class_["provisioner"]
        if provisioner == NO_PROVISIONER:
            text = "no persistent volumes available for this claim and no storage class is set"
            await self._tell(claim, "Normal", "FailedBinding", text)
            return
        annotations = claim["metadata"].get("annotations") or {}
        if annotations.get(STORAGE_PROVISIONER) != provisioner:
            change = {STORAGE_PROVISIONER: provisioner, BETA_STORAGE_PROVISIONER: provisioner}
            metadata = claim["metadata"]
            url = path("v1", CLAIMS, metadata["namespace"], metadata["name"])
            claim = await self.client.patch(url, {"metadata": {"annotations": change}})
        text = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
            "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
            "correctly registered."
        )
        await self._tell(claim, "Normal", "ExternalProvisioning", text)

    async def _bind(self, volume: Object, claim: Object) -> None:
        """Binds both, volume first: claimRef, phase, then volumeName, annotations, phase."""
        metadata = claim["metadata"]
        reference = volume["spec"].get("claimRef") or {}
        if reference.get("uid") != metadata["uid"]:
            change: Object = {
                "metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]},
                "spec": {
                    "claimRef": {
                        "kind": "PersistentVolumeClaim",
                        "apiVersion": "v1",
                        "namespace": metadata["namespace"],
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "resourceVersion": metadata["resourceVersion"],
                    }
                },
            }
            if not reference:
                change["metadata"]["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
            volume = await self.client.patch(path("v1", VOLUMES, name=volume["metadata"]["name"]), change)
        await self._phase(volume, "Bound")
        annotations = {BIND_COMPLETED: "yes"}
        spec: Object = {}
        if not claim["spec"].get("volumeName"):
            spec = {"volumeName": volume["metadata"]["name"]}
            annotations[BOUND_BY_CONTROLLER] = "yes"
        url = path("v1", CLAIMS, metadata["namespace"], metadata["name"])
        change = {"metadata": {"annotations": annotations}, **({"spec": spec} if spec else {})}
        claim = await self.client.patch(url, change)
        await self._claim_status(claim, volume)

    async def _claim_status(self, claim: Object, volume: Object) -> None:
        status = claim.get("status") or {}
        wanted: Object = {"phase": "Bound", "accessModes": volume["spec"].get("accessModes")}
        if status.get("phase") != "Bound":
            wanted["capacity"] = volume["spec"].get("capacity")
        if any(status.get(key) != value for key, value in wanted.items()):
            metadata = claim["metadata"]
            url = path("v1", CLAIMS, metadata["namespace"], metadata["name"], "status")
            await self.client.patch(url, {"status": wanted})

    async def _bound_claim(self, claim: Object) -> None:
        name = claim["spec"].get("volumeName")
        volume = self.volumes.get(name or "")
        if volume is None and name:  # the cache may be late
            volume = await self.client.find(path("v1", VOLUMES, name=name))
        if not name or volume is None:
            what = "its PersistentVolume" if name else "reference to PersistentVolume"
            await self._lost(claim, "ClaimLost", f"Bound claim has lost {what}. Data on the volume is lost!")
        elif not volume["spec"].get("claimRef") or is_volume_of(claim, volume):
            if not volume["spec"].get("claimRef") or volume["spec"]["claimRef"].get("uid") != claim["metadata"]["uid"]:
                await self._bind(volume, claim)
            else:
                await self._phase(volume, "Bound")
                await self._claim_status(claim, volume)
        else:
            text = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lost(claim, "ClaimMisbound", text)

    async def _lost(self, claim: Object, reason: str, message: str) -> None:
        if (claim.get("status") or {}).get("phase") == "Lost":
            return
        metadata = claim["metadata"]
        url = path("v1", CLAIMS, metadata["namespace"], metadata["name"], "status")
        await self.client.patch(url, {"status": {"phase": "Lost", "accessModes": None, "capacity": None}})
        await self.recorder.event(claim, "Warning", reason, message)

    # volumes

    async def _volume(self, volume: Object) -> None:
        reference = volume["spec"].get("claimRef")
        if not reference:
            await self._phase(volume, "Available")
            return
        if not reference.get("uid"):
            await self._phase(volume, "Available")  # reserved for a claim to come
            return
        claim = self.claims.get(f"{reference['namespace']}/{reference['name']}")
        if claim is None or claim["metadata"]["uid"] != reference["uid"]:
            url = path("v1", CLAIMS, reference["namespace"], reference["name"])
            claim = await self.client.find(url)  # the cache may be late
            if claim is not None and claim["metadata"]["uid"] != reference["uid"]:
                claim = None
        if claim is None:
            phase = (volume.get("status") or {}).get("phase")
            if phase not in ("Released", "Failed"):
                volume = await self._phase(volume, "Released")
            await self._reclaim(volume)
        elif not claim["spec"].get("volumeName"):
            self.queue.add(key_of(claim))
        elif claim["spec"]["volumeName"] == volume["metadata"]["name"]:
            await self._phase(volume, "Bound")

    async def _reclaim(self, volume: Object) -> None:
        policy = volume["spec"].get("persistentVolumeReclaimPolicy") or "Retain"
        name = volume["metadata"]["name"]
        if policy == "Delete" and "hostPath" in volume["spec"]:
            await self._failed(
                volume,
                "VolumeFailedDelete",
                f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched',
            )
        elif policy == "Recycle":
            await self._failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")

    async def _failed(self, volume: Object, reason: str, message: str) -> None:
        if (volume.get("status") or {}).get("phase") == "Failed":
            return
        url = path("v1", VOLUMES, name=volume["metadata"]["name"], subresource="status")
        await self.client.patch(url, {"status": {"phase": "Failed", "message": message}})
        await self.recorder.event(volume, "Warning", reason, message)

    async def _phase(self, volume: Object, phase: str) -> Object:
        if (volume.get("status") or {}).get("phase") == phase:
            return volume
        url = path("v1", VOLUMES, name=volume["metadata"]["name"], subresource="status")
        change: Object = {"phase": phase}
        if (volume.get("status") or {}).get("message"):
            change["message"] = None
        try:
            return await self.client.patch(url, {"status": change})
        except StatusError as error:
            if error.code == 404:
                return volume
            raise

    async def _tell(self, claim: Object, kind: str, reason: str, message: str) -> None:
        """Records an event about a claim unless it was the last one said about it."""
        uid = claim["metadata"]["uid"]
        if self._told.get(uid) != message:
            self._told[uid] = message
            await self.recorder.event(claim, kind, reason, message)
