"""Microsoft.ContainerRegistry: registries, their credentials, quotas and imports. What they hold is in azsandbox/registry."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from azsandbox.arm.provider import Arm, Provider
from azsandbox.arm.resources import Document

if TYPE_CHECKING:
    from azsandbox.arm.resource_type import ResourceType

REGISTRIES = "Microsoft.ContainerRegistry/registries"
RETENTION_SECONDS = 600.0  # between two looks at untagged manifests; the sandbox's own choice
log = logging.getLogger(__name__)


class ContainerRegistry(Provider):
    """The namespace Microsoft.ContainerRegistry."""

    namespace = "Microsoft.ContainerRegistry"

    def __init__(self) -> None:
        super().__init__([])
        self.late(_types, "registries", "registries/listUsages", "checkNameAvailability")

    async def run(self, arm: Arm) -> None:
        """Deletes what retention policies no longer keep."""
        while True:
            await arm.services.clock.pause(RETENTION_SECONDS)
            if any(_retains(stored.properties) for stored in arm.resources.all(REGISTRIES)):
                from azsandbox.registry.retention import sweep

                try:
                    sweep(arm.services.registries)
                except Exception:  # a registry may be going: look again
                    log.info("retention", exc_info=True)


def _types() -> list[ResourceType]:
    from azsandbox.arm.providers.containerregistry.names import CheckNameAvailability
    from azsandbox.arm.providers.containerregistry.registries import Registries
    from azsandbox.arm.providers.containerregistry.usages import Usages

    return [Registries(), Usages(), CheckNameAvailability()]


def _retains(properties: Document) -> bool:
    policy = (properties.get("policies") or {}).get("retentionPolicy") or {}
    return bool(policy.get("status") == "enabled")
