"""What an admission controller is told of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import GroupVersionKind, Object, User
from azsandbox.kubernetes.resources import Resource

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass
class Attributes:
    """A write that waits for admission. `obj` is mutated in place; it is None for DELETE, `old` is None for CREATE."""

    operation: str
    resource: Resource
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    obj: Object | None = None
    old: Object | None = None
    user: User = field(default_factory=lambda: User("system:anonymous"))
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    options: Object | None = None  # CreateOptions, UpdateOptions or DeleteOptions, as webhooks are told
    mutating: bool = True  # False once the object is final and only judged
    audit: dict[str, str] = field(default_factory=dict)  # audit annotations
    form: GroupVersionKind | None = None  # what `obj` is, where that is not the resource's own kind: a Scale

    @property
    def gvk(self) -> Object:
        """The kind of the object as a webhook is told it."""
        form = self.form or self.resource
        return {"group": form.group, "version": form.version, "kind": form.kind}

    def of(self, group: str, *kinds: str) -> bool:
        """Whether the resource is one of a group's kinds."""
        return self.resource.group == group and self.resource.kind in kinds

    def forbidden(self, cause: str) -> StatusError:
        """403 as an admission controller says it."""
        name = self.name
        meta = (self.obj or {}).get("metadata") or {}
        prefix = meta.get("generateName")
        if self.mutating and self.operation == CREATE and prefix and name.startswith(prefix):
            name = prefix  # the name that was made of it is not known yet
        if not name and self.obj is not None:
            meta = self.obj.get("metadata") or {}
            name = meta.get("name") or meta.get("generateName") or "Unknown"
        return errors.forbidden(self.resource.name, name, cause, self.resource.group)
