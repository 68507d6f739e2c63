"""The cluster autoscaler: pools grow for pods that do not fit, and shrink by nodes that are not needed.

Rules and words are those of Kubernetes' cluster-autoscaler (FAQ; events TriggeredScaleUp, NotTriggerScaleUp, ScaleDown;
ConfigMap cluster-autoscaler-status), delays those of the cluster's autoScalerProfile, scaled by the clock. It follows the
cluster by watches, and looks again only when something that it decides by has changed, or time alone may decide.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from azsandbox import yaml_files
from azsandbox.aks import control_plane, facts, machines, node_resource_group
from azsandbox.aks.converge import made
from azsandbox.aks.drain import DrainTimeout, drain, to_evict
from azsandbox.aks.nodes import NODES, Nodes, names
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Informers, controller_of
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.selectors import from_object

if TYPE_CHECKING:
    from azsandbox.aks.room import Room

Document = dict[str, Any]
CLUSTERS = "Microsoft.ContainerService/managedClusters"
STATUS = path("v1", "configmaps", "kube-system", "cluster-autoscaler-status")
SCAN = 0.5  # seconds of this machine between looks, at least
SYNC = 5.0  # seconds to read a cluster for the first time; one that is stopping does not answer
SEEN = 0.25  # seconds of this machine until the scheduler has seen a taint, at least
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
log = logging.getLogger("azsandbox.aks")


def seconds(text: str) -> float:
    """Seconds of "10m", "30s"."""
    for unit, factor in UNITS.items():
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdigit():
            return float(text[: -len(unit)]) * factor
    return float(text)


async def run(arm: Any) -> None:
    """Looks at every cluster with an autoscaled pool, for ever."""
    scalers: dict[str, Autoscaler] = {}
    there: dict[str, str] = {}
    read = -1  # the revision of what there is
    try:
        while True:
            revision = arm.resources.bucket.revision
            if revision != read:
                made = [stored for stored in arm.resources.all(CLUSTERS) if "resourceUID" in stored.properties]
                there = {control_plane.key(stored): stored.id for stored in made}
                read = revision
            for key in [key for key in scalers if key not in there]:
                await scalers.pop(key).close()
            for key, cluster_id in there.items():
                try:
                    if key not in scalers:
                        scalers[key] = Autoscaler(arm, cluster_id)
                    await scalers[key].scan()
                except Exception:  # the cluster may be stopping: look again
                    log.info("autoscaler of %s", cluster_id, exc_info=True)
            await asyncio.sleep(max(SCAN, arm.services.clock.scaled(facts.seconds("autoscaler", "scan"))))
    finally:
        for scaler in scalers.values():
            await scaler.close()


class Followed:
    """What the autoscaler knows of a cluster: its pods, nodes, namespaces and budgets, as watches tell of them."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self.informers = Informers(client)
        self.pods = self.informers.of("v1", "pods")
        self.nodes = self.informers.of("v1", "nodes")
        self.namespaces = self.informers.of("v1", "namespaces")
        self.budgets = self.informers.of("policy/v1", "poddisruptionbudgets")
        self.changes = 0
        for informer in (self.pods, self.nodes, self.namespaces, self.budgets):
            informer.on_change(self._changed)

    def _changed(self, *_: Any) -> None:
        self.changes += 1


class Autoscaler:
    """The autoscaler of one cluster."""

    def __init__(self, arm: Any, cluster_id: str) -> None:
        self.arm, self.cluster_id = arm, cluster_id
        self.unneeded: dict[str, float] = {}  # node → since when (monotonic)
        self.last_add = self.last_delete = float("-inf")
        self.provisioning: set[str] = set()
        self.events: EventRecorder | None = None
        self._told: dict[str, tuple[str, float]] = {}
        self._status = ""
        self._followed: Followed | None = None
        self._looked: Any = None  # what the last look saw, if time alone changes nothing about it
        self._began, self._key = -1, ""  # of Resource Manager at the last look, and what the host knows the cluster by

    def setting(self, cluster: Stored, name: str) -> str:
        """A value of the autoscaler profile."""
        own = cluster.properties.get("autoScalerProfile") or {}
        return str(own.get(name, facts.read("defaults")["autoScalerProfile"][name]))

    async def close(self) -> None:
        """Follows the cluster no longer."""
        followed, self._followed, self._looked = self._followed, None, None
        if followed is not None:
            await followed.informers.stop()

    async def scan(self) -> None:
        """One look: grow, else shrink; then the status."""
        if self._looked is not None and self._unchanged():
            return
        began = self.arm.resources.bucket.revision
        cluster = self.arm.resources.get(self.cluster_id)
        client = control_plane.client(self.arm, cluster) if cluster else None
        if cluster is None or client is None or cluster.properties["powerState"]["code"] != "Running":
            await self.close()
            return
        if cluster.state != "Succeeded":
            return
        pools = [
            p
            for p in self.arm.resources.children(self.cluster_id, f"{CLUSTERS}/agentPools")
            if p.properties["enableAutoScaling"] and p.properties["powerState"]["code"] == "Running"
        ]
        if not pools:
            await self.close()
            return
        followed = await self._follow(client)
        idle = [p for p in pools if not self.arm.operations.of(p.id)]
        seen = (followed.changes, cluster.revision, [(p.id, p.revision) for p in pools], [p.id for p in idle])
        self._began, self._key = began, control_plane.key(cluster)
        if seen == self._looked:
            return
        self._looked = None
        from azsandbox.aks.room import Room  # the scheduler's filters: a twentieth of the sandbox's start

        client = client.named("cluster-autoscaler")
        self.events = self.events or EventRecorder(client, "cluster-autoscaler")
        pods = followed.pods.list()
        labels = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in followed.namespaces.list()}
        room = Room(followed.nodes.list(), pods, labels)
        if not await self._grow(cluster, client, idle, room, pods):
            await self._shrink(cluster, client, idle, room, followed.budgets.list())
        await self._tell_status(cluster, client, pools)
        if not self.unneeded and not any(map(_unschedulable, pods)):
            self._looked = seen

    def _unchanged(self) -> bool:
        """Whether since the last look nothing was written to Resource Manager, nothing was told of the cluster, and its
        API server has not started anew: then there is no need to read anything."""
        followed, api = self._followed, self.arm.services.clusters.get(self._key)
        if followed is None or api is None or api.client is not followed.client:
            return False
        return bool(self._began == self.arm.resources.bucket.revision and self._looked[0] == followed.changes)

    async def _follow(self, client: KubeClient) -> Followed:
        """The watches of the cluster, begun anew when it has started anew."""
        if self._followed is None or self._followed.client is not client:
            await self.close()
            self._followed = Followed(client)
        async with asyncio.timeout(SYNC):
            await self._followed.informers.synced()
        return self._followed

    # --- growing

    async def _grow(
        self, cluster: Stored, client: KubeClient, pools: list[Stored], room: Room, pods: list[Document]
    ) -> bool:
        """Adds nodes for pods that fit none; whether it did."""
        waiting = [p for p in pods if _unschedulable(p)]
        if not waiting:
            return False
        there = list(room.snapshot.nodes)
        daemons = _daemons(pods)
        coming = self._coming(cluster, client, pools, room, daemons)
        plan: dict[str, list[str]] = {p.id: [] for p in pools}
        helped: dict[str, list[Document]] = {p.id: [] for p in pools}
        for pod in waiting:
            if any(_ready(room.snapshot.nodes[n].node) and not room.why_not(pod, n) for n in there):
                continue  # the scheduler will place it
            soon = next((n for n in coming if not room.why_not(pod, n)), None)
            if soon is not None:
                room.put(pod, soon)
                continue
            answer = self._place(cluster, client, pod, pools, plan, room, daemons)
            if answer in plan:
                helped[answer].append(pod)
            else:
                await self._once(pod, "NotTriggerScaleUp", f"pod didn't trigger scale-up: {answer}", "Normal")
        for name in coming:
            room.drop_node(name)
        assert self.events is not None
        for pool in pools:
            count = len(plan[pool.id])
            if not count:
                continue
            before = len(pool.private["machines"])
            bounds = f"{before}->{before + count} (max: {pool.properties['maxCount']})"
            for pod in helped[pool.id]:
                text = f"pod triggered scale-up: [{{{pool.private['scaleSet']} {bounds}}}]"
                await self.events.event(pod, "Normal", "TriggeredScaleUp", text)
            await self._resize(cluster, client, pool.id, before + count)
            self.last_add = time.monotonic()
        return any(plan.values())

    def _coming(
        self, cluster: Stored, client: KubeClient, pools: list[Stored], room: Room, daemons: list[Document]
    ) -> list[str]:
        """Supposes the nodes that were added and are not ready yet: what they will take needs no further ones.

        They are waited for as long as max-node-provision-time says (cluster-autoscaler, "upcoming nodes").
        """
        limit = self.arm.services.clock.patience(seconds(self.setting(cluster, "max-node-provision-time")))
        if time.monotonic() - self.last_add >= limit:
            return []
        nodes, found = Nodes(self.arm, client, cluster), []
        for pool in pools:
            for name, machine in zip(names(pool), pool.private["machines"], strict=True):
                info = room.snapshot.nodes.get(name)
                if info is None or not _ready(info.node):
                    found.append(room.add_node(nodes.manifest(pool, machine), daemons))
        return found

    def _place(
        self, cluster: Stored, client: KubeClient, pod: Document, pools: list[Stored], plan: dict[str, list[str]],
        room: Room, daemons: list[Document],
    ) -> str:  # fmt: skip
        """Id of the pool whose new node takes the pod, or why no pool's would."""
        for pool in pools:
            for name in plan[pool.id]:
                if not room.why_not(pod, name):
                    room.put(pod, name)
                    return pool.id
        reasons: dict[str, int] = {}
        for pool in pools:
            name = room.add_node(self._template(cluster, client, pool, len(plan[pool.id])), daemons)
            reason = room.why_not(pod, name)
            if not reason and len(pool.private["machines"]) + len(plan[pool.id]) >= int(pool.properties["maxCount"]):
                reason = "max node group size reached"
            if not reason:
                room.put(pod, name)
                plan[pool.id].append(name)
                return pool.id
            room.drop_node(name)
            reasons[reason] = reasons.get(reason, 0) + 1
        return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "no node group"

    def _template(self, cluster: Stored, client: KubeClient, pool: Stored, coming: int) -> Document:
        """The node that the pool would get next."""
        zones = pool.properties.get("availabilityZones") or []
        have = pool.private["machines"]
        fresh = machines.grow(have, len(have) + coming + 1, pool.private["next"], zones, **made(pool))
        return Nodes(self.arm, client, cluster).manifest(pool, fresh[-1])

    async def _resize(self, cluster: Stored, client: KubeClient, pool_id: str, count: int) -> None:
        """Adds machines, then (when they would have booted) their nodes."""
        pool = self.arm.resources.get(pool_id)
        if pool is None:
            return
        zones = pool.properties.get("availabilityZones") or []
        fresh = machines.grow(pool.private["machines"], count, pool.private["next"], zones, **made(pool))
        if not fresh:
            return
        pool.private["next"] = fresh[-1]["instance"] + 1
        pool.private["machines"] = pool.private["machines"] + fresh
        pool.private["target"] = pool.properties["count"] = len(pool.private["machines"])
        self.arm.resources.put(pool)
        await self.arm.services.clock.sleep(facts.seconds("autoscaler", "provision"))
        nodes = Nodes(self.arm, client, cluster)
        for machine in fresh:
            await nodes.register(pool, machine)
        node_resource_group.show_pool(self.arm, cluster, pool)

    # --- shrinking

    async def _shrink(
        self, cluster: Stored, client: KubeClient, pools: list[Stored], room: Room, budgets: list[Document]
    ) -> None:
        """Takes away one node that was not needed for long enough."""
        now, clock = time.monotonic(), self.arm.services.clock
        threshold = float(self.setting(cluster, "scale-down-utilization-threshold"))
        keep_system = self.setting(cluster, "skip-nodes-with-system-pods") == "true"
        budgeted = _budgeted(budgets, room)
        candidates: dict[str, tuple[Stored, Document]] = {}
        for pool in pools:
            spare = len(pool.private["machines"]) - int(pool.properties["minCount"])
            for name in reversed(names(pool)):
                info = room.snapshot.nodes.get(name)
                if info is None or spare <= 0 or room.utilization(name) >= threshold:
                    continue
                if room.removable(name, budgeted, keep_system=keep_system):
                    candidates[name] = (pool, info.node)
        for name in [n for n in self.unneeded if n not in candidates]:
            del self.unneeded[name]
        for name in candidates:
            self.unneeded.setdefault(name, now)
        after_add = clock.patience(seconds(self.setting(cluster, "scale-down-delay-after-add")))
        after_delete = clock.patience(seconds(self.setting(cluster, "scale-down-delay-after-delete")))
        if now - self.last_add < after_add or now - self.last_delete < after_delete:
            return
        wait = clock.patience(seconds(self.setting(cluster, "scale-down-unneeded-time")))
        due = [n for n, since in self.unneeded.items() if now - since >= wait]
        if due:
            name = due[0]
            await self._remove(cluster, client, candidates[name][0].id, candidates[name][1])
            self.last_delete = time.monotonic()
            self.unneeded.pop(name, None)

    async def _remove(self, cluster: Stored, client: KubeClient, pool_id: str, node: Document) -> None:
        assert self.events is not None
        name = node["metadata"]["name"]
        nodes = Nodes(self.arm, client, cluster)
        await self.events.event(node, "Normal", "ScaleDown", "marked the node as toBeDeleted/unschedulable")
        taint = {"key": "ToBeDeletedByClusterAutoscaler", "value": str(int(time.time())), "effect": "NoSchedule"}
        others = [t for t in node["spec"].get("taints") or [] if t["key"] != taint["key"]]  # of a scan that was cut off
        taints = [*others, taint]
        await client.patch(f"{NODES}/{name}", {"spec": {"taints": taints, "unschedulable": True}})
        # The scheduler may be placing a pod there, and has not seen the taint yet: such a pod must leave with the others.
        clock = self.arm.services.clock
        await asyncio.gather(clock.pause(facts.seconds("autoscaler", "taint")), asyncio.sleep(SEEN))
        for pod in await client.list(path("v1", "pods"), fieldSelector=f"spec.nodeName={name}"):
            if to_evict(pod):
                pod |= {"apiVersion": "v1", "kind": "Pod"}  # items of a list do not say what they are
                await self.events.event(pod, "Normal", "ScaleDown", "deleting pod for node scale down")
        try:
            limit = seconds(self.setting(cluster, "max-graceful-termination-sec"))
            await drain(client, name, clock, limit)
        except DrainTimeout as timeout:
            await self.events.event(node, "Warning", "ScaleDownFailed", f"failed to drain the node: {timeout}")
            await nodes.cordon(name, on=False)
            await client.patch(f"{NODES}/{name}", {"spec": {"taints": others or None}})
            return
        pool = self.arm.resources.get(pool_id)
        if pool is None:
            return
        scale_set = pool.private["scaleSet"]
        pool.private["machines"] = [m for m in pool.private["machines"] if machines.node_name(scale_set, m) != name]
        pool.private["target"] = pool.properties["count"] = len(pool.private["machines"])
        self.arm.resources.put(pool)
        await self.events.event(node, "Normal", "ScaleDown", "node removed by cluster autoscaler")
        await nodes.remove(name)
        node_resource_group.show_pool(self.arm, cluster, pool)

    # --- telling

    async def _once(self, pod: Document, reason: str, message: str, kind: str) -> None:
        """An event that is repeated only when it changes or a minute has passed."""
        uid, now = pod["metadata"]["uid"], time.monotonic()
        told = self._told.get(uid)
        if told and told[0] == message and now - told[1] < 60:
            return
        if len(self._told) > 1000:
            self._told.clear()
        self._told[uid] = (message, now)
        assert self.events is not None
        await self.events.event(pod, kind, reason, message)

    async def _tell_status(self, cluster: Stored, client: KubeClient, pools: list[Stored]) -> None:
        """Writes the ConfigMap cluster-autoscaler-status when something in it changed."""
        groups = []
        for pool in pools:
            have = len(pool.private["machines"])
            idle = sum(n in self.unneeded for n in names(pool))
            own = pool.properties
            groups.append(
                {
                    "name": pool.private["scaleSet"],
                    "health": {
                        "status": "Healthy",
                        "nodeCounts": {"registered": {"total": have, "ready": have, "notStarted": 0}},
                        "cloudProviderTarget": have,
                        "minSize": own["minCount"],
                        "maxSize": own["maxCount"],
                    },
                    "scaleUp": {"status": "NoActivity"},
                    "scaleDown": {"status": "CandidatesPresent" if idle else "NoCandidates"},
                }
            )
        status = {"autoscalerStatus": "Running", "nodeGroups": groups}
        text = yaml_files.dump(status)
        if text == self._status:
            return
        now = self.arm.services.clock.now()
        data = {"status": f"time: {now:%Y-%m-%d %H:%M:%S.%f} +0000 UTC\n{text}"}
        stamp = {"cluster-autoscaler.kubernetes.io/last-updated": f"{now:%Y-%m-%d %H:%M:%S.%f} +0000 UTC"}
        metadata = {"name": "cluster-autoscaler-status", "namespace": "kube-system", "annotations": stamp}
        found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        try:
            await client.create(path("v1", "configmaps", "kube-system"), found)
        except StatusError as error:
            if error.code != 409:
                raise
            await client.patch(STATUS, {"metadata": {"annotations": stamp}, "data": data})
        self._status = text


def _unschedulable(pod: Document) -> bool:
    if pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
        return False
    return any(
        c["type"] == "PodScheduled" and c["status"] == "False" and c.get("reason") == "Unschedulable"
        for c in pod["status"].get("conditions") or []
    )


def _budgeted(budgets: list[Document], room: Room) -> set[str]:
    """Uids of pods that have a disruption budget."""
    pods = [pod for info in room.snapshot.nodes.values() for pod in info.pods.values()]
    out = set()
    for budget in budgets:
        selector, namespace = budget["spec"].get("selector"), budget["metadata"]["namespace"]
        if selector is not None:
            rule = from_object(selector)
            out |= {pod.uid for pod in pods if pod.namespace == namespace and rule.matches(pod.pod)}
    return out


def _ready(node: Document) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions") or [])


def _daemons(pods: list[Document]) -> list[Document]:
    """One pod of each DaemonSet: what a new node would run from the start."""
    found: dict[str, Document] = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner and owner["kind"] == "DaemonSet" and pod["spec"].get("nodeName"):
            found.setdefault(owner["uid"], pod)
    return list(found.values())
