"""Azure Resource Manager: the providers, the resources, and the task that performs operations."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors
from azsandbox.arm.access import Access
from azsandbox.arm.facts import Facts
from azsandbox.arm.operations import Operations
from azsandbox.arm.pipeline import Pipeline
from azsandbox.arm.provider import Provider, Services
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Resources

if TYPE_CHECKING:
    from azsandbox.arm.policy.in_force import InForce


class Arm:
    """`app` is the ASGI application; `start` begins the background work, `close` ends it.

    `services` is the process host (see provider.Services).
    """

    def __init__(self, services: Services, providers: list[Provider] | None = None) -> None:
        from azsandbox.arm.providers import built_in

        self.services = services
        self.facts = Facts()
        self.resources = Resources(services.store, services.clock)
        self.access = Access(self.resources)
        self.operations = Operations(self)
        self.providers: dict[str, Provider] = {
            p.namespace.lower(): p for p in (providers if providers is not None else built_in())
        }
        self.app = Pipeline(self)
        self._task: asyncio.Task[None] | None = None
        for provider in self.providers.values():
            provider.prepare(self)

    @cached_property
    def policies(self) -> InForce:
        """Azure Policy's answers about what holds. Made when first asked for."""
        from azsandbox.arm.policy.in_force import InForce

        return InForce(self)

    def provider(self, namespace: str) -> Provider | None:
        """The provider of a namespace, if the sandbox has it."""
        return self.providers.get(namespace.lower())

    def has_type(self, type_: str) -> bool:
        """Whether the sandbox supports the type."""
        namespace, _, name = type_.partition("/")
        provider = self.provider(namespace)
        return provider is not None and name.lower() in provider.types

    def type_of(self, type_: str) -> ResourceType:
        """The resource type of that full name. Raises NotSupportedInSandbox."""
        namespace, _, name = type_.partition("/")
        provider = self.provider(namespace)
        found = provider.types.get(name.lower()) if provider else None
        if found is None:
            raise errors.not_supported(f"the resource type '{type_}'")
        return found

    def atomic(self) -> AbstractContextManager[Any]:
        """Writes inside reach the disk together or not at all."""
        return self.services.store.atomic()

    async def start(self) -> None:
        """Resumes the operations in progress and takes up new ones."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="arm operations")
            await asyncio.sleep(0)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.operations.run())
            for provider in self.providers.values():
                group.create_task(provider.run(self), name=f"{provider.namespace} in the background")

    async def close(self) -> None:
        """Stops working; operations in progress go on at the next start."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
