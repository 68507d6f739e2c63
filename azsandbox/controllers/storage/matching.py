"""Which volume fits which claim.

Rules: k8s.io/kubernetes, pkg/controller/volume/persistentvolume; k8s.io/component-helpers/storage/volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from azsandbox.controllers.client import Object
from azsandbox.controllers.node_matching import selector_matches
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.selectors import from_object

NO_PROVISIONER = "kubernetes.io/no-provisioner"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def claim_class(claim: Object) -> str:
    """Name of the claim's storage class, "" if none."""
    annotated = (claim["metadata"].get("annotations") or {}).get(BETA_CLASS)
    return str(annotated if annotated is not None else claim["spec"].get("storageClassName") or "")


def volume_class(volume: Object) -> str:
    """Name of the volume's storage class, "" if none."""
    annotated = (volume["metadata"].get("annotations") or {}).get(BETA_CLASS)
    return str(annotated if annotated is not None else volume["spec"].get("storageClassName") or "")


def is_bound(claim: Object) -> bool:
    """Whether the claim is bound to the end."""
    annotations = claim["metadata"].get("annotations") or {}
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations


def is_delayed(claim: Object, class_of: Callable[[str], Object | None]) -> bool:
    """Whether the claim waits for its first consumer."""
    class_ = class_of(claim_class(claim))
    return class_ is not None and class_.get("volumeBindingMode") == "WaitForFirstConsumer"


def is_volume_of(claim: Object, volume: Object) -> bool:
    """Whether the volume's claimRef names this claim (and not an earlier one of its name)."""
    reference = volume["spec"].get("claimRef")
    metadata = claim["metadata"]
    return bool(
        reference
        and reference.get("name") == metadata["name"]
        and reference.get("namespace") == metadata["namespace"]
        and reference.get("uid") in (None, "", metadata["uid"])
    )


def volume_fits_node(volume: Object, labels: Mapping[str, str], name: str) -> bool:
    """Whether the volume's node affinity admits the node."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return required is None or selector_matches(required, labels, name)


def capacity(volume: Object) -> Quantity:
    return Quantity.parse((volume["spec"].get("capacity") or {}).get("storage", "0"))


def requested(claim: Object) -> Quantity:
    return Quantity.parse(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def same_mode(claim: Object, volume: Object) -> bool:
    return (claim["spec"].get("volumeMode") or "Filesystem") == (volume["spec"].get("volumeMode") or "Filesystem")


def find_volume(claim: Object, volumes: Iterable[Object]) -> Object | None:
    """The volume that names the claim, or else the smallest free one that satisfies it."""
    spec = claim["spec"]
    wanted, class_ = requested(claim), claim_class(claim)
    modes = set(spec.get("accessModes") or ())
    selector = from_object(spec["selector"]) if spec.get("selector") else None
    best: Object | None = None
    for volume in volumes:
        if volume["metadata"].get("deletionTimestamp") or not same_mode(claim, volume):
            continue
        if is_volume_of(claim, volume):
            if capacity(volume) < wanted or not modes <= set(volume["spec"].get("accessModes") or ()):
                continue
            return volume
        if volume["spec"].get("claimRef") or (volume.get("status") or {}).get("phase") != "Available":
            continue
        if volume_class(volume) != class_ or not modes <= set(volume["spec"].get("accessModes") or ()):
            continue
        if selector is not None and not selector.matches(volume):
            continue
        if wanted <= capacity(volume) and (best is None or capacity(volume) < capacity(best)):
            best = volume
    return best
