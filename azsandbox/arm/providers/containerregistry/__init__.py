"""Microsoft.ContainerRegistry: registries, their credentials, quotas and imports. What they hold is in azsandbox/registry."""

from __future__ import annotations

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.containerregistry.names import CheckNameAvailability
from azsandbox.arm.providers.containerregistry.registries import Registries
from azsandbox.arm.providers.containerregistry.usages import Usages


class ContainerRegistry(Provider):
    """The namespace Microsoft.ContainerRegistry."""

    namespace = "Microsoft.ContainerRegistry"

    def __init__(self) -> None:
        super().__init__([Registries(), Usages(), CheckNameAvailability()])
