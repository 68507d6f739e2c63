"""The rolling upgrade of a pool: surge nodes come, old ones are cordoned, drained and reimaged, surge nodes go.

AKS documentation, "Upgrade options": a buffer node with the new version is added (maxSurge), an old node is cordoned
and drained, then reimaged; when all are new the surge nodes are drained and deleted. With maxSurge 0 up to
maxUnavailable nodes are upgraded in place.
"""

from __future__ import annotations

import asyncio
from typing import Any

from azsandbox.aks import facts, machines
from azsandbox.aks.drain import DrainTimeout, drain
from azsandbox.aks.nodes import NODES, Nodes
from azsandbox.arm.operations import Work
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import path
from azsandbox.controllers.events import EventRecorder

DRAIN_MINUTES = 30  # AKS's default drainTimeoutInMinutes


def current(pool: Stored, machine: machines.Machine) -> bool:
    """Whether a machine has the pool's version and image."""
    own = pool.properties
    return bool(machine["version"] == own["currentOrchestratorVersion"] and machine["image"] == own["nodeImageVersion"])


async def roll(arm: Any, nodes: Nodes, pool_id: str, work: Work | None, part: tuple[float, float]) -> None:
    """Upgrades every machine of the pool. Raises ArmError UpgradeFailed where a node cannot be drained."""
    await _Roll(arm, nodes, pool_id, work, part).run()


class _Roll:
    def __init__(self, arm: Any, nodes: Nodes, pool_id: str, work: Work | None, part: tuple[float, float]) -> None:
        self.arm, self.nodes, self.pool_id, self.work, self.part = arm, nodes, pool_id, work, part
        self.clock = arm.services.clock
        self.events = EventRecorder(nodes.client, "upgrader")

    @property
    def pool(self) -> Stored:
        found: Stored | None = self.arm.resources.get(self.pool_id)
        assert found is not None
        return found

    def save(self, pool: Stored) -> None:
        self.arm.resources.put(pool, touch=False)

    def name(self, machine: machines.Machine) -> str:
        return machines.node_name(self.pool.private["scaleSet"], machine)

    async def run(self) -> None:
        pool = self.pool
        settings = pool.properties.get("upgradeSettings") or {}
        regular = [m for m in pool.private["machines"] if not m.get("surge")]
        spot = pool.properties.get("scaleSetPriority") == "Spot"
        surge = 0 if spot else machines.surge(len(regular), settings.get("maxSurge"))
        surge = min(surge, len([m for m in regular if not current(pool, m)]))
        at_once = surge or max(1, machines.unavailable(len(regular), settings.get("maxUnavailable")))
        await self._add_surge(surge)
        todo = [m["instance"] for m in regular if not current(pool, m)]
        done = len(regular) - len(todo)
        for start in range(0, len(todo), at_once):
            batch = todo[start : start + at_once]
            self._tell(done + start, len(regular))
            results = await asyncio.gather(*(self._replace(i, settings) for i in batch), return_exceptions=True)
            failed = next((r for r in results if isinstance(r, BaseException)), None)
            if failed is not None:
                raise failed.error() if isinstance(failed, DrainTimeout) else failed
        await self._drop_surge(settings)

    def _tell(self, done: int, total: int) -> None:
        if self.work is not None:
            percent = self.part[0] + self.part[1] * done / max(total, 1)
            version = self.pool.properties["currentOrchestratorVersion"]
            self.work.progress(round(percent, 1), f"{self.pool.name}: {done} of {total} nodes upgraded to {version}")

    async def _add_surge(self, count: int) -> None:
        """Adds the surge machines that are missing (some are there when the work begins again)."""
        pool = self.pool
        have = [m for m in pool.private["machines"] if m.get("surge")]
        own = pool.properties
        zones = own.get("availabilityZones") or []
        fresh = machines.grow(
            have, count, pool.private["next"], zones,
            version=own["currentOrchestratorVersion"], image=own["nodeImageVersion"], surge=True,
        )  # fmt: skip
        if fresh:
            pool.private["next"] = fresh[-1]["instance"] + 1
            pool.private["machines"] += fresh
            self.save(pool)
        surge = [m for m in pool.private["machines"] if m.get("surge")]
        if not surge:
            return
        await self.clock.sleep(facts.seconds("node", "boot"))
        for machine in surge:
            await self.nodes.register(pool, machine)
            await self._event(
                machine, "Surge", f"Created a surge node [{self.name(machine)} {pool.name}] for agentpool {pool.name}"
            )

    async def _replace(self, instance: int, settings: dict[str, Any]) -> None:
        """Cordons, drains and reimages one machine."""
        machine = next((m for m in self.pool.private["machines"] if m["instance"] == instance), None)
        if machine is None:
            return
        name = self.name(machine)
        found = await self.nodes.client.find(path("v1", "nodes", name=name))
        if (
            found is not None
            and found["status"]["nodeInfo"]["kubeletVersion"] != ""
            and not current(self.pool, machine)
        ):
            if not await self._empty(machine, settings):
                return
            await self._event(machine, "Upgrade", f"Deleting node {name} from API server")
            await self.nodes.remove(name)
        pool = self.pool
        await self.clock.sleep(facts.seconds("node", "reimage"))
        pool = self.pool
        own = pool.properties
        for other in pool.private["machines"]:
            if other["instance"] == instance:
                other |= {"version": own["currentOrchestratorVersion"], "image": own["nodeImageVersion"]}
                machine = other
        self.save(pool)
        await self.nodes.register(pool, machine)
        await self._event(machine, "Upgrade", f"Successfully upgraded node: {name}")
        if settings.get("nodeSoakDurationInMinutes"):
            await self.clock.sleep(60 * int(settings["nodeSoakDurationInMinutes"]))

    async def _empty(self, machine: machines.Machine, settings: dict[str, Any]) -> bool:
        """Cordons and drains; False where the node is quarantined instead (undrainableNodeBehavior Cordon)."""
        name = self.name(machine)
        await self.nodes.cordon(name)
        await self._event(machine, "Drain", f"Draining node: [{name}]")
        minutes = float(settings.get("drainTimeoutInMinutes") or DRAIN_MINUTES)
        try:
            await drain(self.nodes.client, name, self.clock, 60 * minutes)
        except DrainTimeout as timeout:
            await self._event(
                machine, "Drain", f"Eviction blocked by Too Many Requests (usually a pdb): {timeout.pod}", "Warning"
            )
            if settings.get("undrainableNodeBehavior") != "Cordon":
                raise
            await self.nodes.mark(name, {"kubernetes.azure.com/upgrade-status": "Quarantined"})
            return False
        return True

    async def _drop_surge(self, settings: dict[str, Any]) -> None:
        for machine in [m for m in self.pool.private["machines"] if m.get("surge")]:
            name = self.name(machine)
            if await self.nodes.client.find(path("v1", "nodes", name=name)) is not None:
                await self.nodes.cordon(name)
                try:
                    await drain(self.nodes.client, name, self.clock, 60 * DRAIN_MINUTES)
                except DrainTimeout as timeout:
                    raise timeout.error() from None
                await self._event(machine, "RemovingSurgeNode", f"Removing surge node: {name}")
                await self.nodes.remove(name)
            pool = self.pool
            pool.private["machines"] = [m for m in pool.private["machines"] if m["instance"] != machine["instance"]]
            self.save(pool)

    async def _event(self, machine: machines.Machine, reason: str, message: str, kind: str = "Normal") -> None:
        name = self.name(machine)
        found = await self.nodes.client.find(f"{NODES}/{name}")
        uid = found["metadata"]["uid"] if found else name
        obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid}}
        await self.events.event(obj, kind, reason, message)
