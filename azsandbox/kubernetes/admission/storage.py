"""Admission controllers of claims, volumes and ingresses."""

from __future__ import annotations

from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_CLASS_BETA = "storageclass.beta.kubernetes.io/is-default-class"
_CLASS_BETA = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"
_PROTECTION = {
    ("storage.k8s.io", "VolumeAttributesClass"): "kubernetes.io/vac-protection",
    ("", "PersistentVolume"): "kubernetes.io/pv-protection",
    ("", "PersistentVolumeClaim"): "kubernetes.io/pvc-protection",
}


class DefaultStorageClass(Plugin):
    """A claim that names no class gets the default one, the newest if there are several."""

    async def mutate(self, attrs: Attributes) -> None:
        if not attrs.of("", "PersistentVolumeClaim") or attrs.subresource or attrs.operation != CREATE or not attrs.obj:
            return
        spec = attrs.obj["spec"] = attrs.obj.get("spec") or {}
        annotations = (attrs.obj.get("metadata") or {}).get("annotations") or {}
        if spec.get("storageClassName") is not None or _CLASS_BETA in annotations:
            return
        found = [item for item in self.server.peek_list("storageclasses.storage.k8s.io") if _is_default(item)]
        if found:
            found.sort(key=lambda item: item["metadata"]["name"])
            found.sort(key=lambda item: item["metadata"].get("creationTimestamp") or "", reverse=True)
            spec["storageClassName"] = found[0]["metadata"]["name"]


def _is_default(item: Object) -> bool:
    annotations = item["metadata"].get("annotations") or {}
    return "true" in (annotations.get(_DEFAULT_CLASS), annotations.get(_DEFAULT_CLASS_BETA))


class StorageObjectInUseProtection(Plugin):
    """Volumes and claims carry a finalizer from the start, so that they outlive what uses them."""

    async def mutate(self, attrs: Attributes) -> None:
        finalizer = _PROTECTION.get((attrs.resource.group, attrs.resource.kind))
        if finalizer is None or attrs.subresource or attrs.operation != CREATE or attrs.obj is None:
            return
        meta = attrs.obj["metadata"]
        if finalizer not in (meta.get("finalizers") or []):
            meta["finalizers"] = [*(meta.get("finalizers") or []), finalizer]


class PersistentVolumeClaimResize(Plugin):
    """A claim grows only if its class allows it."""

    async def validate(self, attrs: Attributes) -> None:
        if not attrs.of("", "PersistentVolumeClaim") or attrs.subresource or attrs.operation != UPDATE:
            return
        new, old = _requested(attrs.obj), _requested(attrs.old)
        if new is None or old is None or new <= old:
            return
        before = (attrs.old or {}).get("status") or {}
        if before.get("phase") != "Bound":
            raise attrs.forbidden("Only bound persistent volume claims can be expanded")
        if not self._expandable(attrs.obj or {}):
            cause = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
            raise attrs.forbidden(cause)

    def _expandable(self, claim: Object) -> bool:
        annotations = (claim.get("metadata") or {}).get("annotations") or {}
        name = annotations.get(_CLASS_BETA) or (claim.get("spec") or {}).get("storageClassName")
        found = self.server.peek("storageclasses.storage.k8s.io", "", name) if name else None
        return bool(found and found.get("allowVolumeExpansion"))


def _requested(claim: Object | None) -> Quantity | None:
    requests = (((claim or {}).get("spec") or {}).get("resources") or {}).get("requests") or {}
    return Quantity.parse(requests["storage"]) if requests.get("storage") is not None else None


class DefaultIngressClass(Plugin):
    """An ingress that names no class gets the default one, the newest if there are several."""

    async def mutate(self, attrs: Attributes) -> None:
        if (
            not attrs.of("networking.k8s.io", "Ingress")
            or attrs.subresource
            or attrs.operation != CREATE
            or not attrs.obj
        ):
            return
        spec = attrs.obj["spec"] = attrs.obj.get("spec") or {}
        annotations = (attrs.obj.get("metadata") or {}).get("annotations") or {}
        if spec.get("ingressClassName") is not None or "kubernetes.io/ingress.class" in annotations:
            return
        found = [
            item
            for item in self.server.peek_list("ingressclasses.networking.k8s.io")
            if (item["metadata"].get("annotations") or {}).get(_DEFAULT_INGRESS) == "true"
        ]
        if found:
            found.sort(key=lambda item: item["metadata"]["name"])
            found.sort(key=lambda item: item["metadata"].get("creationTimestamp") or "", reverse=True)
            spec["ingressClassName"] = found[0]["metadata"]["name"]
