"""Finalizers that keep claims and volumes while they are in use, and claims of ephemeral volumes.

Rules: k8s.io/kubernetes, pkg/controller/volume/{pvcprotection,pvprotection,ephemeral}.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, key_of, split_key
from azsandbox.controllers.pods import is_terminal
from azsandbox.kubernetes.errors import StatusError

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


def claims_of(pod: Object) -> list[str]:
    """Keys of the claims that a pod uses."""
    metadata = pod["metadata"]
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            found.append(f"{metadata['namespace']}/{volume['persistentVolumeClaim']['claimName']}")
        elif "ephemeral" in volume:
            found.append(f"{metadata['namespace']}/{metadata['name']}-{volume['name']}")
    return found


async def set_finalizer(client: KubeClient, url: str, obj: Object, name: str, wanted: bool) -> None:
    """Adds or removes a finalizer."""
    finalizers = obj["metadata"].get("finalizers") or []
    if (name in finalizers) == wanted:
        return
    changed = [*finalizers, name] if wanted else [entry for entry in finalizers if entry != name]
    metadata = {"finalizers": changed or None, "resourceVersion": obj["metadata"]["resourceVersion"]}
    await client.patch(url, {"metadata": metadata})


class ClaimProtection(Controller):
    """Keeps a claim until no pod that has been scheduled uses it."""

    name = "pvc-protection-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.claims = self.follow(informers.of("v1", "persistentvolumeclaims"))
        self.pods = informers.of("v1", "pods")
        self.pods.on_change(self._pod_changed)

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        if kind == "DELETED" or is_terminal(pod):
            for key in claims_of(pod):
                self.queue.add(key)

    async def reconcile(self, key: str) -> None:
        claim = self.claims.get(key)
        if claim is None:
            return
        namespace, name = split_key(key)
        url = path("v1", "persistentvolumeclaims", namespace, name)
        if not claim["metadata"].get("deletionTimestamp"):
            await set_finalizer(self.client, url, claim, CLAIM_FINALIZER, True)
            return
        used = any(
            key in claims_of(pod) and pod["spec"].get("nodeName") and not is_terminal(pod)
            for pod in self.pods.list(namespace)
        )
        if not used:
            await set_finalizer(self.client, url, claim, CLAIM_FINALIZER, False)


class VolumeProtection(Controller):
    """Keeps a volume while it is bound."""

    name = "pv-protection-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.volumes = self.follow(informers.of("v1", "persistentvolumes"))

    async def reconcile(self, key: str) -> None:
        volume = self.volumes.get(key)
        if volume is None:
            return
        url = path("v1", "persistentvolumes", name=key)
        if not volume["metadata"].get("deletionTimestamp"):
            await set_finalizer(self.client, url, volume, VOLUME_FINALIZER, True)
        elif (volume.get("status") or {}).get("phase") != "Bound":
            await set_finalizer(self.client, url, volume, VOLUME_FINALIZER, False)


class EphemeralVolumes(Controller):
    """Makes the claims of pods' generic ephemeral volumes."""

    name = "ephemeral-volume-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.recorder = EventRecorder(self.client, "ephemeral_volume")
        self.pods = informers.of("v1", "pods")
        self.claims = informers.of("v1", "persistentvolumeclaims")
        self.pods.on_change(self._pod_changed)

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        if old is None and any("ephemeral" in volume for volume in pod["spec"].get("volumes") or ()):
            self.queue.add(key_of(pod))

    async def reconcile(self, key: str) -> None:
        pod = self.pods.get(key)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return
        metadata = pod["metadata"]
        for volume in pod["spec"].get("volumes") or ():
            if "ephemeral" not in volume:
                continue
            template = volume["ephemeral"].get("volumeClaimTemplate") or {}
            owner = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
            extra = {k: v for k, v in (template.get("metadata") or {}).items() if k in ("labels", "annotations")}
            name = f"{metadata['name']}-{volume['name']}"
            claim = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": metadata["namespace"], "ownerReferences": [owner], **extra},
                "spec": template.get("spec") or {},
            }
            try:
                await self.client.create(path("v1", "persistentvolumeclaims", metadata["namespace"]), claim)
            except StatusError as error:
                if error.code != 409:
                    text = f"failed to create PVC {name}: {error}"
                    await self.recorder.event(pod, "Warning", "EphemeralVolumeFailed", text)
