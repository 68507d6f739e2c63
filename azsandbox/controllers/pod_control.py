"""Making and deleting pods for an owner, with the events that tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from azsandbox.controllers.client import Object
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Informer, Writes
from azsandbox.controllers.objects import name_of, namespace_is_going, namespace_of
from azsandbox.controllers.pods import from_template
from azsandbox.kubernetes.errors import StatusError

BURST = 500  # pods in one go


class PodControl:
    """Pods of the owners of one controller (pkg/controller, RealPodControl)."""

    def __init__(self, writes: Writes, pods: Informer, recorder: EventRecorder) -> None:
        self.writes, self.pods, self.recorder = writes, pods, recorder

    async def create(
        self, owner: Object, template: Object, reference: Object, change: Callable[[Object], None] | None = None
    ) -> Object:
        """A pod of `template`; `change` may alter it first. Raises StatusError after an event about it."""
        pod = from_template(template, reference, name_of(owner))
        pod["metadata"]["namespace"] = namespace_of(owner)
        if change:
            change(pod)
        try:
            made = await self.writes.create(self.pods, pod)
        except StatusError as error:
            if not namespace_is_going(error):
                await self.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        await self.recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(made)}")
        return made

    async def delete(self, owner: Object, pod: Object) -> None:
        """Deletes a pod; it may be gone already. Raises StatusError after an event about it."""
        try:
            await self.writes.delete(self.pods, pod)
        except StatusError as error:
            if error.code == 404:
                return
            await self.recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            raise StatusError(
                error.code, error.reason, f"unable to delete pods: {error.message}", error.details
            ) from error
        await self.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    async def delete_all(self, owner: Object, pods: Sequence[Object]) -> StatusError | None:
        """Deletes `pods`; returns the first error."""
        results = await asyncio.gather(*(self.delete(owner, pod) for pod in pods), return_exceptions=True)
        return first_error(results)


async def slow_start(count: int, work: Callable[[int], Awaitable[object]]) -> tuple[int, StatusError | None]:
    """Calls `work(0 … count - 1)` in batches of 1, 2, 4 … and stops at the first batch that fails.

    So a quota that refuses one pod is not asked for hundreds. Returns the successes and the first error.
    """
    done = successes = 0
    size = min(count, 1)
    while size > 0:
        results = await asyncio.gather(*(work(done + i) for i in range(size)), return_exceptions=True)
        error = first_error(results)
        successes += sum(not isinstance(result, BaseException) for result in results)
        if error is not None:
            return successes, error
        done += size
        size = min(size * 2, count - done)
    return successes, None


def first_error(results: Sequence[object]) -> StatusError | None:
    """The first StatusError of gathered results; any other exception is raised."""
    found = None
    for result in results:
        if isinstance(result, StatusError):
            found = found or result
        elif isinstance(result, BaseException):
            raise result
    return found
