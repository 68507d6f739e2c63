"""Who may do what in a registry: role assignments, the admin user, anonymous pull.

What a role allows, in terms of the actions of tokens: "Azure Container Registry Entra permissions and role assignments
overview" and its directory of roles. Registries with roleAssignmentMode AbacRepositoryPermissions go by data actions.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azsandbox.arm.access import matches
from azsandbox.arm.conditions import holds
from azsandbox.registry.names import Grant

if TYPE_CHECKING:
    from azsandbox.registry.registries import Registries, Registry

_REGISTRY = "Microsoft.ContainerRegistry/registries"
_REPOSITORY = f"{_REGISTRY}/repositories:name"
# action of a token → Azure actions of which one is needed
_ACTIONS = {
    "pull": ("pull/read",),
    "push": ("push/write",),
    "delete": ("artifacts/delete",),
    "metadata_read": ("metadata/read", "pull/read"),
    "metadata_write": ("metadata/write", "push/write"),
    "catalog": ("pull/read",),
}
# the same for registries that go by data actions
_DATA_ACTIONS = {
    "pull": ("repositories/content/read",),
    "push": ("repositories/content/write",),
    "delete": ("repositories/content/delete",),
    "metadata_read": ("repositories/metadata/read",),
    "metadata_write": ("repositories/metadata/write",),
    "catalog": ("catalog/read",),
}
# how a refresh token shows them
_SHOWN = {
    "pull": "read",
    "push": "write",
    "delete": "delete",
    "metadata_read": "metadata/read",
    "metadata_write": "metadata/write",
}
ANONYMOUS = ("pull", "metadata_read")  # "Make your container registry content publicly available"


@dataclass(frozen=True)
class Caller:
    """Somebody who asks: an identity of Entra, a registry's admin user, or nobody in particular."""

    name: str = ""
    object_id: str = ""
    groups: tuple[str, ...] = ()
    admin_of: str = ""  # name of a registry

    @property
    def anonymous(self) -> bool:
        return not (self.object_id or self.admin_of)


class Permissions:
    """Decides for the registries of a sandbox."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    # --- who

    def principal(self, object_id: str) -> Caller | None:
        """The caller behind an object id of the directory."""
        directory = self._registries.host.entra.directory
        found = directory.get(object_id)
        if found is None:
            return None
        return Caller(found.name, found.object_id, tuple(directory.groups_of(object_id)))

    def by_password(self, registry: Registry | None, user: str, password: str) -> Caller | None:
        """Who signs in with a name and a secret: the admin user, or an application. None if that is wrong."""
        if registry is not None and user.lower() == registry.name:
            return self._admin(registry, password)
        directory = self._registries.host.entra.directory
        principal = directory.service_principal(user)
        if principal is None or directory.check_secret(user, password) != "valid":
            return None
        return self.principal(principal.object_id)

    def _admin(self, registry: Registry, password: str) -> Caller | None:
        if not registry.properties.get("adminUserEnabled"):
            return None
        kept: dict[str, Any] = registry.resource.private.get("passwords") or {}
        if any(hmac.compare_digest(str(value).encode(), password.encode()) for value in kept.values()):
            return Caller(registry.resource.name, admin_of=registry.name)
        return None

    # --- what

    def allowed(self, caller: Caller, registry: Registry, grant: Grant) -> Grant | None:
        """What of `grant` the caller may do in the registry; None if nothing. `grant.name` is the repository."""
        wanted = grant.actions
        granted: tuple[str, ...] = ()
        if grant.type == "registry":
            granted = ("*",) if grant.name == "catalog" and self._may(caller, registry, "catalog", "") else ()
        elif grant.type == "repository":
            if "*" in wanted:
                wanted = tuple(
                    dict.fromkeys([*(a for a in wanted if a != "*"), *(a for a in _ACTIONS if a != "catalog")])
                )
            granted = tuple(action for action in wanted if self._may(caller, registry, action, grant.name))
        return Grant(grant.type, grant.name, granted) if granted else None

    def shown(self, caller: Caller, registry: Registry) -> list[str]:
        """What a refresh token says that the caller may do; [] for somebody who may do nothing at all."""
        found = [shown for action, shown in _SHOWN.items() if self._may(caller, registry, action, None)]
        if not found and self._may(caller, registry, "catalog", None):
            found = ["catalog/read"]
        return found

    def _may(self, caller: Caller, registry: Registry, action: str, repository: str | None) -> bool:
        """`repository` None asks whether there is any repository for which it may."""
        if caller.admin_of:
            return caller.admin_of == registry.name and action in _ACTIONS
        if caller.anonymous:
            return bool(registry.properties.get("anonymousPullEnabled")) and action in ANONYMOUS
        names = (_DATA_ACTIONS if registry.abac else _ACTIONS).get(action, ())
        access = self._registries.host.arm.access
        scope, kind = registry.resource.id, "dataActions" if registry.abac else "actions"
        not_kind = "notDataActions" if registry.abac else "notActions"
        for assignment in access.assignments((caller.object_id, *caller.groups), scope):
            role = access.definition(assignment.body["properties"]["roleDefinitionId"])
            for permission in role["properties"]["permissions"] if role else ():
                for name in names:
                    full = f"{_REGISTRY}/{name}"
                    if not matches(full, permission.get(kind, [])) or matches(full, permission.get(not_kind, [])):
                        continue
                    condition = assignment.body["properties"].get("condition")
                    if not condition or holds(condition, full, {_REPOSITORY: repository}):
                        return True
        return False
