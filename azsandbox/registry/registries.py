"""The registries that exist, as Resource Manager has them, and where their content lies."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from azsandbox.clock import Clock
from azsandbox.registry.access import Permissions
from azsandbox.registry.blobs import Blobs
from azsandbox.registry.content import Content, Contents
from azsandbox.registry.names import SUFFIX
from azsandbox.registry.tokens import Tokens
from azsandbox.registry.upstream import PREFIX, Upstream, catalogue
from azsandbox.store import Store

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resources import Stored as Resource
    from azsandbox.home import Home

TYPE = "Microsoft.ContainerRegistry/registries"


class RegistryHost(Protocol):
    """What the registries need of the process that they live in."""

    @property
    def state(self) -> Store: ...
    @property
    def home(self) -> Home: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def entra(self) -> Any: ...
    @property
    def arm(self) -> Arm: ...


@dataclass(frozen=True)
class Registry:
    """One registry: its resource, and what is in it."""

    resource: Resource
    content: Content

    @property
    def name(self) -> str:
        """In lower case, as in its login server."""
        return self.resource.name.lower()

    @property
    def login_server(self) -> str:
        found: str = self.resource.properties["loginServer"]
        return found

    @property
    def properties(self) -> dict[str, Any]:
        return self.resource.properties

    @property
    def abac(self) -> bool:
        """Whether data actions decide, by repository ("Azure ABAC repository permissions"), and not the older roles."""
        return self.properties.get("roleAssignmentMode") == "AbacRepositoryPermissions"


class Registries:
    """All registries of a sandbox."""

    def __init__(self, host: RegistryHost) -> None:
        self.host = host
        self.contents = Contents(host.state, Blobs(host.home.path / "registry"), host.clock)
        self.upstream = Upstream(self.contents)
        self.tokens = Tokens(self.contents.bucket, host.clock)
        self.permissions = Permissions(self)
        self._held: tuple[int, dict[str, Registry]] = (-1, {})

    def get(self, name: str) -> Registry | None:
        """The registry of that name; one that is being deleted is there no more."""
        return self.all().get(name.lower())

    def at(self, host: str) -> Registry | None:
        """The registry whose login server is `host` (without port)."""
        return self.get(host.removesuffix(SUFFIX)) if host.endswith(SUFFIX) else None

    def all(self) -> dict[str, Registry]:
        """Registries by name, read again only when resources have changed."""
        resources = self.host.arm.resources
        revision, held = self._held
        if revision != resources.bucket.revision:
            found = [r for r in resources.all(TYPE) if r.state != "Deleting"]
            held = {r.name.lower(): Registry(r, self.contents.of(r.private["content"])) for r in found}
            self._held = (resources.bucket.revision, held)
        return held

    def sweep(self) -> None:
        """Removes what a crash left behind. Call it once, before anything is pushed."""
        kept = {str(r.private["content"]) for r in self.host.arm.resources.all(TYPE)}
        self.contents.sweep(kept | {PREFIX + host for host in catalogue()["names"]})

    @staticmethod
    def new_content() -> str:
        """An id for the content of a registry that is being made."""
        return uuid.uuid4().hex
