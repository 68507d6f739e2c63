"""The end of a CustomResourceDefinition: it waits, Terminating, until every object of it is gone.

Rules and texts: k8s.io/apiextensions-apiserver, pkg/registry/customresourcedefinition/etcd.go and
pkg/controller/finalizer/crd_finalizer.go.
"""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.schema import crds

if TYPE_CHECKING:
    from azsandbox.kubernetes.registry import Registry

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
NO_CREATE = "create not allowed while custom resource definition is terminating"


def begin(crd: Object) -> None:
    """Marks a definition for deletion, in place: it gets the finalizer that holds it until its objects are gone."""
    metadata = crd["metadata"]
    metadata["deletionTimestamp"] = now()
    finalizers = metadata.get("finalizers") or []
    metadata["finalizers"] = finalizers if CLEANUP in finalizers else [*finalizers, CLEANUP]
    text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    crds.set_condition(crd, "Terminating", "True", "InstanceDeletionPending", text, now())


def is_terminating(crd: Object) -> bool:
    """Whether a definition still has its objects to remove."""
    metadata = crd["metadata"]
    return bool(metadata.get("deletionTimestamp")) and CLEANUP in (metadata.get("finalizers") or ())


def finish(registry: Registry, definitions: Resource, crd: Object) -> bool:
    """Goes on with the end of a definition that is terminating; True once its finalizer is off.

    Objects without finalizers are removed, others begin to be deleted and are waited for.
    """
    crd = copy.deepcopy(crd)
    if not crds.is_established(crd):
        return _let_go(registry, definitions, crd, "NeverEstablished", "resource was never established")
    before = copy.deepcopy(crd)
    text = "CustomResource deletion is in progress"
    crds.set_condition(crd, "Terminating", "True", "InstanceDeletionInProgress", text, now())
    if crd != before:
        registry.replace(definitions, crd, crd["metadata"]["resourceVersion"])
    served = crds.resources_of(crd)
    if served and not _remove_objects(registry, served[0]):
        return False
    return _let_go(registry, definitions, crd, "InstanceDeletionCompleted", "removed all instances")


def _remove_objects(registry: Registry, resource: Resource) -> bool:
    """Deletes every object of a resource; whether none is left."""
    left = False
    for obj in registry.objects(resource):
        metadata = obj["metadata"]
        with contextlib.suppress(errors.StatusError):  # written meanwhile: the next round sees it
            if not metadata.get("finalizers"):
                registry.remove(resource, obj)
                continue
            left = True
            if not metadata.get("deletionTimestamp"):
                metadata |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
                metadata["generation"] = metadata.get("generation", 0) + 1
                registry.replace(resource, obj, metadata["resourceVersion"])
    return not left


def _let_go(registry: Registry, definitions: Resource, crd: Object, reason: str, message: str) -> bool:
    crds.set_condition(crd, "Terminating", "False", reason, message, now())
    metadata = crd["metadata"]
    metadata["finalizers"] = [item for item in metadata["finalizers"] if item != CLEANUP]
    if metadata["finalizers"]:
        registry.replace(definitions, crd, metadata["resourceVersion"])
    else:
        del metadata["finalizers"]
        registry.remove(definitions, crd)
    return True
