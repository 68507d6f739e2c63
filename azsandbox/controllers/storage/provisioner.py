"""Provisioning by CSI drivers that the cluster has: volumes made, resized and deleted as their sidecars do.

Option `csi_drivers`: names of drivers (AKS: disk.csi.azure.com, file.csi.azure.com). Without it nothing is
provisioned. Rules: sigs.k8s.io/sig-storage-lib-external-provisioner, external-resizer, and azuredisk-csi-driver.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, key_of
from azsandbox.controllers.storage.matching import (
    BETA_STORAGE_PROVISIONER,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    claim_class,
    is_bound,
    requested,
)
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.quantity import BINARY, Quantity

DELETER = "external-provisioner.volume.kubernetes.io/finalizer"
DISK, FILE = "disk.csi.azure.com", "file.csi.azure.com"
GIB = 1024**3


class Provisioner(Controller):
    """Makes volumes for claims and deletes released ones. Keys: claims `namespace/name`, volumes `/name`."""

    name = "csi-provisioner"
    workers = 1
    user_agent = "csi-provisioner"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.drivers: frozenset[str] = frozenset(options.get("csi_drivers") or ())
        self.resource_group = str(options.get("node_resource_group") or "MC_sandbox")
        self.subscription = str(options.get("subscription_id") or "00000000-0000-0000-0000-000000000000")
        self.claims = informers.of("v1", "persistentvolumeclaims")
        self.volumes = informers.of("v1", "persistentvolumes")
        self.classes = informers.of("storage.k8s.io/v1", "storageclasses")
        self.nodes = informers.of("v1", "nodes")
        if self.drivers:
            self.follow(self.claims)
            self.follow(self.volumes, lambda volume: [f"/{volume['metadata']['name']}"])

    async def reconcile(self, key: str) -> None:
        if key.startswith("/"):
            volume = self.volumes.get(key[1:])
            if volume is not None:
                await self._delete(volume)
            return
        claim = self.claims.get(key)
        if claim is None:
            return
        if is_bound(claim):
            await self._resize(claim)
            return
        annotations = claim["metadata"].get("annotations") or {}
        driver = annotations.get(STORAGE_PROVISIONER) or annotations.get(BETA_STORAGE_PROVISIONER)
        class_ = self.classes.get(claim_class(claim))
        if driver not in self.drivers or class_ is None or claim["spec"].get("volumeName"):
            return
        if claim["metadata"].get("deletionTimestamp"):
            return
        waits = class_.get("volumeBindingMode") == "WaitForFirstConsumer"
        if waits and SELECTED_NODE not in annotations:
            return
        await self._create(claim, class_, driver)

    async def _create(self, claim: Object, class_: Object, driver: str) -> None:
        metadata = claim["metadata"]
        recorder = EventRecorder(self.client, f"{driver}_csi-provisioner")
        text = f'External provisioner is provisioning volume for claim "{key_of(claim)}"'
        await recorder.event(claim, "Normal", "Provisioning", text)
        name = f"pvc-{metadata['uid']}"
        size = max(-(-requested(claim).value // GIB), 1) * GIB
        node = self.nodes.get((metadata.get("annotations") or {}).get(SELECTED_NODE, ""))
        reference = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        }
        volume: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": name,
                "annotations": {
                    PROVISIONED_BY: driver,
                    "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                    "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
                },
                "finalizers": [DELETER],
            },
            "spec": {
                "accessModes": claim["spec"].get("accessModes"),
                "capacity": {"storage": str(Quantity.of(size, BINARY))},
                "claimRef": reference,
                "csi": self._source(driver, name, claim, class_),
                "persistentVolumeReclaimPolicy": class_.get("reclaimPolicy") or "Delete",
                "storageClassName": class_["metadata"]["name"],
                "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
                **({"mountOptions": class_["mountOptions"]} if class_.get("mountOptions") else {}),
            },
        }
        zone = (((node or {}).get("metadata") or {}).get("labels") or {}).get("topology.kubernetes.io/zone", "")
        if driver == DISK and zone and "ZRS" not in ((class_.get("parameters") or {}).get("skuName") or ""):
            expression = {"key": "topology.disk.csi.azure.com/zone", "operator": "In", "values": [zone]}
            terms = [{"matchExpressions": [expression]}]
            volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
        try:
            await self.client.create(path("v1", "persistentvolumes"), volume)
        except StatusError as error:
            if error.code != 409:
                raise
        await recorder.event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    def _source(self, driver: str, name: str, claim: Object, class_: Object) -> Object:
        base = f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}/providers"
        parameters = {
            k: v for k, v in (class_.get("parameters") or {}).items() if not k.startswith("csi.storage.k8s.io/")
        }
        attributes = {
            **parameters,
            "csi.storage.k8s.io/pv/name": name,
            "csi.storage.k8s.io/pvc/name": claim["metadata"]["name"],
            "csi.storage.k8s.io/pvc/namespace": claim["metadata"]["namespace"],
        }
        if driver == DISK:
            attributes["requestedsizegib"] = str(max(-(-requested(claim).value // GIB), 1))
            handle = f"{base}/Microsoft.Compute/disks/{name}"
        elif driver == FILE:
            handle = f"{self.resource_group}#{'f' + claim['metadata']['uid'].replace('-', '')[:22]}#{name}###{claim['metadata']['namespace']}"
        else:
            handle = name
        return {"driver": driver, "volumeHandle": handle, "volumeAttributes": attributes}

    async def _resize(self, claim: Object) -> None:
        """Grows a bound volume to what its claim asks for."""
        volume = self.volumes.get(claim["spec"].get("volumeName") or "")
        if volume is None or (volume["spec"].get("csi") or {}).get("driver") not in self.drivers:
            return
        has = Quantity.parse(((claim.get("status") or {}).get("capacity") or {}).get("storage", "0"))
        if requested(claim) <= has:
            return
        metadata = claim["metadata"]
        recorder = EventRecorder(self.client, f"external-resizer {volume['spec']['csi']['driver']}")
        text = f"External resizer is resizing volume {volume['metadata']['name']}"
        await recorder.event(claim, "Normal", "Resizing", text)
        size = str(Quantity.of(-(-requested(claim).value // GIB) * GIB, BINARY))
        url = path("v1", "persistentvolumes", name=volume["metadata"]["name"])
        await self.client.patch(url, {"spec": {"capacity": {"storage": size}}})
        url = path("v1", "persistentvolumeclaims", metadata["namespace"], metadata["name"], "status")
        await self.client.patch(url, {"status": {"capacity": {"storage": size}, "conditions": None}})
        await recorder.event(
            claim, "Normal", "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded for volume"
        )

    async def _delete(self, volume: Object) -> None:
        metadata = volume["metadata"]
        if (metadata.get("annotations") or {}).get(PROVISIONED_BY) not in self.drivers:
            return
        url = path("v1", "persistentvolumes", name=metadata["name"])
        phase = (volume.get("status") or {}).get("phase")
        released = phase == "Released" and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        if not released:
            return
        if not metadata.get("deletionTimestamp"):
            await self.client.gone(url)
        elif DELETER in (metadata.get("finalizers") or ()):
            left = [entry for entry in metadata["finalizers"] if entry != DELETER]
            await self.client.patch(url, {"metadata": {"finalizers": left or None}})
