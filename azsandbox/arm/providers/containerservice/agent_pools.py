"""Microsoft.ContainerService/managedClusters/agentPools: add, scale, update, upgrade, stop, delete."""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.aks import facts, images, machines, versions, vm_sizes
from azsandbox.aks.converge import converge_pool, remove_pool
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Work
from azsandbox.arm.provider import action
from azsandbox.arm.providers.containerservice import networks, pool_body
from azsandbox.arm.providers.containerservice.base import CLUSTERS, AksType, check_idle, check_running
from azsandbox.arm.providers.containerservice.errors import aks, not_allowed
from azsandbox.arm.providers.containerservice.setting import setting_of
from azsandbox.arm.resources import Document, Stored

TYPE = f"{CLUSTERS}/agentPools"
QUIET = ("count", "tags", "upgradeSettings", "minCount", "maxCount", "enableAutoScaling")


def pools_of(arm: Any, cluster: Stored | str) -> list[Stored]:
    """The pools of a cluster, in the order they were made."""
    id_ = cluster if isinstance(cluster, str) else cluster.id
    return sorted(arm.resources.children(id_, TYPE), key=lambda s: (s.private.get("order", 0), s.name))


def prepare(cluster_uid: str, name: str, current: Stored | None) -> Document:
    """What is kept beside a pool: its scale set, and where its machines were numbered up to."""
    private = copy.deepcopy(current.private) if current else {}
    digits = machines.suffix(cluster_uid, name)
    private.setdefault("scaleSet", machines.scale_set(name, digits))
    private.setdefault("machines", [])
    private.setdefault("next", 0)
    return private


class AgentPools(AksType):
    """Node pools."""

    name = "managedClusters/agentPools"

    async def accept(self, call: Call, current: Stored | None) -> Document:
        cluster = self.parent_cluster(call)
        check_idle(call, cluster, pool=call.id.name)
        check_running(cluster)
        others = [p for p in pools_of(call.arm, cluster) if current is None or p.id != current.id]
        setting = setting_of(call.arm, cluster.body)
        sent = call.properties
        stopped = (sent.get("powerState") or {}).get("code") == "Stopped"
        old = current.properties if current else None
        properties = pool_body.accept(call.id.name, sent, old, setting)
        if current is None and len(others) + 1 > facts.read("defaults")["maxAgentPools"]:
            raise not_allowed("The maximum number of node pools per cluster is 100.", 400)
        if properties["mode"] == "System":
            vm_sizes.check_system(vm_sizes.check(properties["vmSize"], setting.location))
        if old and old["mode"] == "System" and properties["mode"] != "System":
            self.check_last_system(cluster, others)
        if stopped:
            self.stop_pool(properties, old)
        else:
            full = [p.properties for p in others] + [properties]
            networks.check(call, cluster.properties, full, setting.location)
            vm_sizes.check_quota(call.arm, setting.location, [(str(call.id), properties)])
        call.private |= prepare(cluster.properties["resourceUID"], call.id.name, current)
        call.private.setdefault("order", max([p.private.get("order", 0) for p in others], default=-1) + 1)
        call.private["target"] = self.target(properties, stopped)
        return {"properties": properties}

    def target(self, properties: Document, stopped: bool) -> int:
        """Nodes that the pool shall have when the operation ends."""
        if stopped:
            return 0
        count = int(properties["count"])
        if properties["enableAutoScaling"]:
            count = min(max(count, properties["minCount"]), properties["maxCount"])
        return count

    def check_last_system(self, cluster: Stored, others: list[Stored]) -> None:
        """Raises when no system pool would be left."""
        if not any(p.properties["mode"] == "System" for p in others):
            raise not_allowed(
                f"There has to be at least one system agent pool in managed cluster {cluster.name}. Please see "
                "https://aka.ms/aks/system-node-pools for more details.",
                400,
            )

    def stop_pool(self, properties: Document, old: Document | None) -> None:
        """A stopped pool has no nodes; system pools cannot be stopped."""
        if old is None:
            raise aks(400, "OperationNotAllowed", "A node pool cannot be created in the Stopped state.")
        if properties["mode"] == "System":
            raise aks(400, "OperationNotAllowed", "System node pools cannot be stopped.")
        if properties["enableAutoScaling"] and properties.get("minCount"):
            properties["minCount"] = 0
        properties["count"] = 0

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        if call.method == "DELETE":
            return facts.seconds("pool", "delete")
        return facts.seconds("pool", "create" if kind == "create" else "update")

    async def put(self, call: Call) -> Answer:
        """PUT; the state says what changes: Scaling, Upgrading, Updating, Stopping or Starting."""
        before = call.current
        answer = await self.write(call)
        stored = call.current
        assert stored is not None
        if before is not None:
            stored.properties["provisioningState"] = change_of(before, stored)
            call.arm.resources.put(stored, touch=False)
            answer.body = self.present(call, stored)
        return answer

    async def delete(self, call: Call) -> Answer:
        if call.current is None:
            self.parent_cluster(call)
            return Answer(204)
        return await super().delete(call)

    async def check_delete(self, call: Call, current: Stored) -> None:
        cluster = self.parent_cluster(call)
        check_idle(call, cluster, pool=current.name)
        others = [p for p in pools_of(call.arm, cluster) if p.id != current.id]
        if current.properties["mode"] == "System":
            self.check_last_system(cluster, others)

    def present(self, call: Call, stored: Stored) -> Document:
        body = copy.deepcopy(stored.body)
        body["id"] = self.aks_id(body["id"])
        body["properties"]["eTag"] = stored.etag
        return body

    async def perform(self, work: Work) -> None:
        """Brings the nodes of the pool to what is stored."""
        stored = work.resource
        if stored is None:
            return
        if work.operation.kind == "delete":
            await remove_pool(work.arm, stored, work)
        elif work.operation.kind != "abort":
            await converge_pool(work.arm, stored.id, work, bool(work.operation.data.get("image")))
        if work.operation.kind == "upgradeNodeImageVersion":
            return
        await work.wait()

    def ended(self, work: Work) -> None:
        super().ended(work)
        stored = work.resource
        if stored and work.operation.kind == "abort":
            stored.properties["provisioningState"] = "Canceled"
            work.arm.resources.put(stored)

    async def remove(self, arm: Any, stored: Stored) -> None:
        await remove_pool(arm, stored, None)

    # --- actions

    @action("upgradeNodeImageVersion")
    async def upgrade_node_image(self, call: Call, stored: Stored) -> Answer:
        """POST: reimages the nodes to the newest image."""
        check_idle(call, self.parent_cluster(call), pool=stored.name)
        check_running(self.parent_cluster(call))
        own = stored.properties
        own["nodeImageVersion"] = images.latest(own["osSKU"], own["currentOrchestratorVersion"])
        own["provisioningState"] = "UpgradingNodeImageVersion"
        stored.private["target"] = len(stored.private["machines"])
        with call.arm.atomic():
            call.arm.resources.put(stored)
            operation = self.begin(call, "upgradeNodeImageVersion", stored, facts.seconds("pool", "update"), image=True)
        return self.accepted(call, operation, self.present(call, stored))

    @action("abort")
    async def abort(self, call: Call, stored: Stored) -> Answer:
        """POST: ends the operation that runs; the pool is Canceled."""
        running = [o for o in call.arm.operations.of(stored.id) if o.kind != "abort"]
        if not running:
            raise aks(
                409, "OperationNotAllowed", f"There is no operation in progress on agent pool {stored.name} to abort."
            )
        return self.accepted(call, self.cancel(call, stored, running, "pool"))

    @action("deleteMachines")
    async def delete_machines(self, call: Call, stored: Stored) -> Answer:
        """POST {"machineNames": […]}: removes these machines; the pool is that much smaller."""
        check_idle(call, self.parent_cluster(call), pool=stored.name)
        names = call.document.get("machineNames") or []
        known = {machines.node_name(stored.private["scaleSet"], m): m for m in stored.private["machines"]}
        for name in names:
            if name not in known:
                raise aks(400, "InvalidParameter", f"Machine {name} is not in agent pool {stored.name}.")
        left = len(known) - len(set(names))
        if left < 1 and stored.properties["mode"] == "System":
            raise aks(400, "OperationNotAllowed", "A system node pool must keep at least one machine.")
        stored.private["doomed"] = sorted(set(names))
        stored.private["target"] = stored.properties["count"] = left
        stored.properties["provisioningState"] = "DeletingMachines"
        with call.arm.atomic():
            call.arm.resources.put(stored)
            operation = self.begin(call, "deleteMachines", stored, facts.seconds("pool", "update"))
        return self.accepted(call, operation)

    def cancel(self, call: Call, stored: Stored, running: list[Operation], group: str) -> Operation:
        """Ends `running` as Canceled and starts the operation of the abort itself."""
        for operation in running:
            call.arm.operations.cancel(operation)
        now = call.arm.resources.get(stored.id) or stored
        now.properties["provisioningState"] = "Canceling"
        with call.arm.atomic():
            call.arm.resources.put(now)
            return self.begin(call, "abort", now, facts.seconds(group, "abort"))

    def completed(self, work: Work, stored: Stored) -> None:
        """The count is what there is; a stopped pool is Stopped."""
        if work.operation.kind in ("create", "update", "upgradeNodeImageVersion", "deleteMachines"):
            stored.properties["count"] = len(stored.private["machines"])


def change_of(before: Stored, after: Stored) -> str:
    """What AKS calls the change of a pool while it runs."""
    old, new = before.properties, after.properties
    if (old["powerState"], new["powerState"]) == ({"code": "Running"}, {"code": "Stopped"}):
        return "Stopping"
    if (old["powerState"], new["powerState"]) == ({"code": "Stopped"}, {"code": "Running"}):
        return "Starting"
    if old["currentOrchestratorVersion"] != new["currentOrchestratorVersion"]:
        return "Upgrading"
    ignored = ("provisioningState", "eTag")
    changed = {k for k in old.keys() | new.keys() if k not in ignored and old.get(k) != new.get(k)}
    return "Scaling" if changed == {"count"} else "Updating"


def upgrades_of(properties: Document, control_plane: str) -> list[str]:
    """Versions that a pool may go to."""
    own = versions.parts(properties["currentOrchestratorVersion"])
    return [v for v in versions.pool_versions(control_plane) if versions.parts(v) > own]
