"""The order in which kinds are applied, and how an apiVersion is put together."""

from __future__ import annotations

from azsandbox.flux.object_refs import ObjectRef

# fluxcd/pkg/ssa, ReconcileOrder: these first, and those last; between them every other kind by group and name
FIRST = (
    *("CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterClass", "RuntimeClass", "PriorityClass"),
    *("StorageClass", "VolumeSnapshotClass", "IngressClass", "GatewayClass", "ClusterRoleBinding", "ResourceQuota"),
    *("ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Service", "LimitRange", "Deployment"),
    *("StatefulSet", "CronJob", "PodDisruptionBudget"),
)
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_RANKS = {kind: place - len(FIRST) for place, kind in enumerate(FIRST)} | {
    kind: place + 1 for place, kind in enumerate(LAST)
}


def order(ref: ObjectRef) -> tuple[int, ObjectRef]:
    """Sorts references by the order in which kinds are applied, then by group, kind, namespace and name."""
    return _RANKS.get(ref.kind, 0), ref


def version_of(api_version: str) -> str:
    """The version of an apiVersion."""
    return api_version.rpartition("/")[2]


def join_version(group: str, version: str) -> str:
    """The apiVersion of a group and a version."""
    return f"{group}/{version}" if group else version
