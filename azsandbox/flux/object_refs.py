"""What names an object whatever its version: group, kind, namespace and name (fluxcd/cli-utils, object.ObjMetadata)."""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.controllers.client import Object

_COLONS = "__"  # a colon in a name, which RBAC allows, stands for this in an inventory


@dataclass(frozen=True, order=True)
class ObjectRef:
    """An object's group, kind, namespace ("" for a cluster-wide one) and name; as text Kind/namespace/name."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Object) -> ObjectRef:
        """The reference to an object."""
        metadata = obj.get("metadata") or {}
        group = group_of(str(obj.get("apiVersion", "")))
        return cls(group, str(obj.get("kind", "")), metadata.get("namespace") or "", metadata.get("name") or "")

    @classmethod
    def parse(cls, text: str) -> ObjectRef:
        """The reference that an inventory's id stands for. Raises ValueError."""
        namespace, _, rest = text.partition("_")
        start, _, kind = rest.rpartition("_")
        name, _, group = start.rpartition("_")
        if not kind or not name:
            raise ValueError(f"unable to parse stored object metadata: {text}")
        return cls(group, kind, namespace, name.replace(_COLONS, ":"))

    @property
    def id(self) -> str:
        """The reference as an inventory has it: namespace_name_group_kind."""
        return f"{self.namespace}_{self.name.replace(':', _COLONS)}_{self.group}_{self.kind}"

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


def group_of(api_version: str) -> str:
    """The group of an apiVersion, "" for the core group."""
    return api_version.rpartition("/")[0]
