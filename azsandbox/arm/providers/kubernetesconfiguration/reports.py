"""How an operation on a Flux configuration waits for the agent in the cluster, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import closing

from azsandbox.arm import errors
from azsandbox.arm.facts import read
from azsandbox.arm.operations import Work, elapsed
from azsandbox.arm.providers.kubernetesconfiguration.base import FACTS, cluster_of
from azsandbox.arm.providers.kubernetesconfiguration.data_plane import DataPlane
from azsandbox.arm.resources import Stored

ENDED = ("Succeeded", "Failed")
FAILED = "FluxConfigurationOperationFailed"
FIRST_TRY_SECONDS = 3.0
LEAST, BEGUN = 60.0, 90.0
"""Seconds of this machine that an agent gets at least: to begin, and then to end, which is real work here."""


async def applied(work: Work) -> None:
    """Waits until the agent has told how it went. Raises ArmError for a failure, and when it has taken too long.

    Without an agent, which is before the extension is there, it waits (recorded).
    """

    def told(stored: Stored) -> bool:
        report = stored.private.get("report") or {}
        return report.get("operation") == work.operation.id and report.get("state") in ENDED

    stored = await _in_time(work, told)
    report = (stored.private.get("report") or {}) if stored else {}
    if report.get("state") == "Failed":
        raise errors.ArmError(400, FAILED, report["message"])
    await work.wait()
    if work.services.clock.speed == "fast":
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY_SECONDS):
                await _until(work, _tried)


def _tried(stored: Stored) -> bool:
    """Whether Flux has tried each object of a configuration once, and it went well or did not.

    Azure takes so long for an operation that Flux is through with that when it ends; at the speed `fast` Flux, whose
    timers know no speed, would still be at it.
    """
    if stored.properties.get("suspend"):
        return True
    found = stored.properties.get("statuses") or []
    return bool(found) and all(
        any(c["type"] == "Ready" and c["status"] != "Unknown" for c in one.get("statusConditions") or [])
        for one in found
    )


async def withdrawn(work: Work) -> None:
    """Waits until the agent has taken the configuration out of the cluster; where no agent can be, there is nothing."""

    def gone(stored: Stored) -> bool:
        cluster = cluster_of(work.arm, stored.id)
        return bool(stored.private.get("withdrawn")) or cluster is None or not DataPlane(work.arm, cluster.id).serves()

    await _in_time(work, gone)
    await work.wait()


async def _in_time(work: Work, seen: Callable[[Stored], bool]) -> Stored | None:
    """As `_until`, and no longer than Azure lets an operation take. Raises ArmError."""
    tasks = [asyncio.ensure_future(_until(work, seen)), asyncio.ensure_future(_limit(work))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise errors.ArmError(408, FAILED, read(FACTS)["limit"]["message"])
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _limit(work: Work) -> None:
    """Lasts as long as an operation may."""
    unit = work.services.clock.scaled(1)
    left = read(FACTS)["limit"]["seconds"] - elapsed(work.arm, work.operation)
    await work.sleep(max(left, LEAST / unit))
    report = (work.resource.private.get("report") or {}) if work.resource else {}
    if report.get("operation") == work.operation.id:
        await work.sleep(BEGUN / unit)


async def _until(work: Work, seen: Callable[[Stored], bool]) -> Stored | None:
    """Waits until `seen` is true of the configuration; returns it, or None when it has gone."""
    cluster = cluster_of(work.arm, work.operation.resource)
    if cluster is None:
        return None
    with closing(DataPlane(work.arm, cluster.id).watch()) as changes:
        while True:
            stored = work.resource
            if stored is None or seen(stored):
                return stored
            await changes.next()
