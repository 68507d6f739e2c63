"""What names an object in an inventory and in messages, and the order in which kinds are applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from azsandbox.controllers.client import Object

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
_RBAC = "rbac.authorization.k8s.io"
_WITH_COLONS = frozenset(("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"))


@dataclass(frozen=True, slots=True)
class Identity:
    """An object's namespace, name, group and kind: everything but its version (cli-utils, ObjMetadata)."""

    namespace: str
    name: str
    group: str
    kind: str

    def __str__(self) -> str:
        """As an inventory has it: `namespace_name_group_kind`. Colons, which RBAC's names may have, are doubled
        underscores."""
        name = self.name
        if self.group == _RBAC and self.kind in _WITH_COLONS:
            name = name.replace(":", "__")
        return f"{self.namespace}_{name}_{self.group}_{self.kind}"

    @property
    def subject(self) -> str:
        """As messages have it: `Kind/namespace/name`."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """Sorts by the order in which kinds are applied, then by namespace and name."""
        return _RANKS.get(self.kind, 0), self.group, self.kind, self.namespace, self.name

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Of an inventory's id. Raises ValueError for what is none."""
        namespace, first, rest = text.partition("_")
        rest, second, kind = rest.rpartition("_")
        name, third, group = rest.rpartition("_")
        if not (first and second and third):
            raise ValueError(f"unable to parse stored object metadata: {text}")
        return cls(namespace, name.replace("__", ":"), group, kind)


def split_version(api_version: str) -> tuple[str, str]:
    """Group ("" for the core group) and version of an apiVersion."""
    group, _, version = api_version.rpartition("/")
    return group, version


def join_version(group: str, version: str) -> str:
    """The apiVersion of a group and a version."""
    return f"{group}/{version}" if group else version


def identity(obj: Object) -> Identity:
    """Of a manifest or an object of the cluster."""
    metadata = obj.get("metadata") or {}
    group, _ = split_version(str(obj.get("apiVersion", "")))
    return Identity(str(metadata.get("namespace") or ""), str(metadata.get("name") or ""), group, str(obj.get("kind")))


def in_order(objects: Iterable[Object]) -> list[Object]:
    """Objects in the order in which they are applied."""
    return sorted(objects, key=lambda obj: identity(obj).order)
