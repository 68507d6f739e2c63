"""Where a request came in, and so which registry it is about.

By proxy the host name says it: NAME.azurecr.io. On the sandbox's own port it is the first part of the repository's
name: localhost:PORT/NAME/app is `app` in the registry NAME, so that clients need no name resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.registry import errors
from azsandbox.registry.names import Grant, is_repository
from azsandbox.registry.registries import Registries, Registry


@dataclass(frozen=True)
class Place:
    """The address that a client used."""

    registries: Registries
    registry: Registry | None  # None on the sandbox's own port
    service: str  # host name, and port where it is not the usual

    def locate(self, name: str) -> tuple[Registry, str]:
        """The registry and the repository that `name` means here. Raises RegistryError."""
        registry, rest = self.registry, name
        if registry is None:
            first, _, rest = name.partition("/")
            registry = self.registries.get(first)
            if registry is None or not rest:
                raise errors.name_unknown(name)
        if not is_repository(rest):
            raise errors.name_invalid(name)
        return registry, rest

    def whole(self) -> Registry:
        """The one registry that a request about no repository is about. Raises RegistryError."""
        if self.registry is None:
            raise errors.not_supported(
                f"what is not about one repository at {self.service}; use NAME.azurecr.io by the sandbox's proxy"
            )
        return self.registry

    def local(self, grant: Grant) -> tuple[Registry, Grant] | None:
        """A grant as the registry that it is about knows it; None if there is no such registry."""
        if grant.type != "repository":
            return (self.registry, grant) if self.registry else None
        try:
            registry, name = self.locate(grant.name)
        except errors.RegistryError:
            return None
        return registry, Grant(grant.type, name, grant.actions)
