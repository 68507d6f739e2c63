"""The kubelets' controller: follows nodes and the pods bound to them.

Options: `profile` "kwok" (pods ready at once, as with kwok's fast stages) or "kubelet" (the default:
pulls, probes, restarts); `images`, an ImageSource; `pull_pace`, the part of the back-off after a failed pull that is
waited for; `stopped`, a function that says of a node's name whether its machine is off, in which case nothing is heard
of it; `warming_up`, a function that gives the seconds that containers take for what their probes wait for, of the
probes' own; `output` and `ports`, what containers write and where they listen whose programs the sandbox acts for;
`act`, a function that says of a pod and one of its containers what that comes to, or None.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from azsandbox.controllers.client import STRATEGIC, KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder, micro_timestamp, timestamp
from azsandbox.controllers.informer import Controller, Informers, key_of, split_key
from azsandbox.controllers.kubelet import exec as execution
from azsandbox.controllers.kubelet import kwok, logs, node_status, port_forward
from azsandbox.controllers.kubelet.addresses import PodAddresses, node_address
from azsandbox.controllers.kubelet.commands import Outcome, outcome_of, restarts
from azsandbox.controllers.kubelet.images import AssumedImages
from azsandbox.controllers.kubelet.lifecycle import Lifecycle, stopped
from azsandbox.controllers.kubelet.pulls import Pulls
from azsandbox.controllers.kubelet.references import References
from azsandbox.controllers.kubelet.termination import stop_seconds
from azsandbox.controllers.objects import time_of
from azsandbox.controllers.output import ContainerOutput
from azsandbox.controllers.ports import ProgramPorts
from azsandbox.kubernetes import errors
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest
from azsandbox.kubernetes.request import Request

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 3600.0  # one wait of those who follow a container


class Kubelet(Controller):
    """All nodes' kubelets. Keys are those of pods, and names of nodes."""

    name = "kubelet"
    workers = 8

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        self.kwok = options.get("profile") == "kwok"
        self.user_agent = "kwok" if self.kwok else "kubelet"
        super().__init__(client, informers, **options)
        self.nodes = informers.of("v1", "nodes")
        self.pods = informers.of("v1", "pods")
        self.references = References(
            informers.of("v1", "configmaps"), informers.of("v1", "secrets"), options.get("csi_mounts")
        )
        source, pace = options.get("images") or AssumedImages(), float(options.get("pull_pace") or 1.0)
        self.pulls = Pulls(source, self.references, self.nodes.get, pace)
        warming_up = options.get("warming_up") or (lambda seconds: seconds)
        self.act: Callable[[Object, Object], Outcome | None] | None = options.get("act")
        self._acted: dict[tuple[str, str, int], Outcome] = {}  # pod uid, container, restarts
        self.lifecycle = Lifecycle(self.pulls, self.references, warming_up, self.outcome)
        self.addresses = PodAddresses()
        self.stopped: Callable[[str], bool] = options.get("stopped") or (lambda name: False)
        self.output: ContainerOutput | None = options.get("output")
        self.ports: ProgramPorts | None = options.get("ports")
        self._by_node: dict[str, set[str]] = {}
        self._leases: set[str] = set()
        self._recorders: dict[str, EventRecorder] = {}
        self.nodes.on_change(self._node_changed)
        self.pods.on_change(self._pod_changed)

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        name = node["metadata"]["name"]
        if kind == "DELETED":
            self._leases.discard(name)
            self._recorders.pop(name, None)
            return
        if old is None or node_status.is_ready(node) != node_status.is_ready(old):
            self.queue.add(name)
        if old is None:
            for key in self._by_node.get(name, ()):
                self.queue.add(key)

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        metadata, key = pod["metadata"], key_of(pod)
        node = pod["spec"].get("nodeName")
        if kind == "DELETED" or (old is not None and old["metadata"]["uid"] != metadata["uid"]):
            gone = pod if kind == "DELETED" else old
            if gone is not None:
                self.addresses.release(gone["metadata"]["uid"])
                self.lifecycle.forget(gone["metadata"]["uid"])
                self._acted = {k: v for k, v in self._acted.items() if k[0] != gone["metadata"]["uid"]}
            if kind == "DELETED":
                self._by_node.get(node or "", set()).discard(key)
                return
        if node:
            self._by_node.setdefault(node, set()).add(key)
            status = pod.get("status") or {}
            if not pod["spec"].get("hostNetwork"):
                self.addresses.note(metadata["uid"], status.get("podIP") or "")
            self.queue.add(key)

    async def run(self) -> None:
        """Works until cancelled."""
        await asyncio.gather(super().run(), self._heartbeats())

    async def reconcile(self, key: str) -> None:
        """Moves a pod, or a node, on."""
        namespace, name = split_key(key)
        if not namespace:
            await self._initialize(name)
            return
        pod = self.pods.get(key)
        node = self.nodes.get(pod["spec"].get("nodeName") or "") if pod is not None else None
        if pod is None or node is None or self.stopped(node["metadata"]["name"]):
            return
        if pod["metadata"].get("deletionTimestamp"):
            await self._terminate(pod)
        elif self.kwok:
            host = node_address(node)
            status = kwok.next_status(pod, host, self._address(pod, node), timestamp())
            if status is not None:
                await self._patch(pod, status)
        else:
            await self._advance(pod, node)

    def _address(self, pod: Object, node: Object) -> str:
        if pod["spec"].get("hostNetwork"):
            return node_address(node)
        return self.addresses.of(pod["metadata"]["uid"], node)

    async def _advance(self, pod: Object, node: Object) -> None:
        key = key_of(pod)
        now = dt.datetime.now(dt.UTC)
        address = self._address(pod, node)
        step = self.lifecycle.advance(pod, node_address(node), address, now, lambda: self.queue.add(key))
        old = pod.get("status") or {}
        changes = {name: value for name, value in step.status.items() if old.get(name) != value}
        conditions = _changed_conditions(old.get("conditions") or [], step.status["conditions"])
        changes.pop("conditions", None)
        if conditions:
            changes["conditions"] = conditions
        if changes.keys() - {"observedGeneration"}:
            await self._patch(pod, changes)
        for kind, reason, message, container in step.events:
            field = _field_path(pod, container)
            await self._recorder(node).event(pod, kind, reason, message, field)
        if step.wake is not None:
            self.queue.add_after(key, step.wake)

    async def _terminate(self, pod: Object) -> None:
        metadata = pod["metadata"]
        if not self.kwok:
            grace = float(metadata.get("deletionGracePeriodSeconds") or 0)
            seconds = min(grace, stop_seconds(pod)) if grace else 0.0
            deleted = time_of(metadata["deletionTimestamp"])
            asked = deleted - dt.timedelta(seconds=grace) if deleted else dt.datetime.now(dt.UTC)
            left = seconds - (dt.datetime.now(dt.UTC) - asked).total_seconds()
            running = [
                s["name"] for s in (pod.get("status") or {}).get("containerStatuses") or () if "running" in s["state"]
            ]
            node = self.nodes.get(pod["spec"]["nodeName"])
            if node is not None and grace and f"stop {metadata['uid']}" not in self._leases:
                self._leases.add(f"stop {metadata['uid']}")
                for name in running:
                    text = f"Stopping container {name}"
                    await self._recorder(node).event(pod, "Normal", "Killing", text, _field_path(pod, name))
            if left > 0:
                self.queue.add_after(key_of(pod), left)
                return
            if running:
                await self._patch(pod, stopped(pod, timestamp()))
            self._leases.discard(f"stop {metadata['uid']}")
        if metadata.get("deletionGracePeriodSeconds") == 0 and metadata.get("finalizers"):
            return  # what holds it now is not the kubelet
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self.client.gone(path("v1", "pods", metadata["namespace"], metadata["name"]), options)

    async def _patch(self, pod: Object, status: Object) -> None:
        metadata = pod["metadata"]
        url = path("v1", "pods", metadata["namespace"], metadata["name"], "status")
        change = {"metadata": {"uid": metadata["uid"]}, "status": status}
        try:
            await self.client.patch(url, change, STRATEGIC)
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    def _recorder(self, node: Object) -> EventRecorder:
        name = node["metadata"]["name"]
        found = self._recorders.get(name)
        if found is None:
            found = self._recorders[name] = EventRecorder(self.client, "kubelet", name)
        return found

    # nodes

    async def _initialize(self, name: str) -> None:
        node = self.nodes.get(name)
        if node is None or node_status.is_ready(node) or self.stopped(name):
            return
        now = timestamp()
        status = kwok.initialized_node(node, node_address(node), now)
        if not self.kwok:
            del status["phase"]
            for key in ("containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion"):
                if not ((node.get("status") or {}).get("nodeInfo") or {}).get(key):
                    status["nodeInfo"][key] = ""
        await self.client.patch(path("v1", "nodes", name=name, subresource="status"), {"status": status}, STRATEGIC)
        await self._lease(node)

    async def _heartbeats(self) -> None:
        """Renews each node's lease, spread over the interval."""
        await self.informers.synced()
        while True:
            nodes = self.nodes.list()
            pause = node_status.HEARTBEAT_SECONDS / max(len(nodes), 1)
            for node in nodes:
                await asyncio.sleep(pause)
                if not self.stopped(node["metadata"]["name"]):
                    try:
                        await self._lease(node)
                        await self._initialize(node["metadata"]["name"])
                    except Exception as error:
                        log.debug("heartbeat of %s: %s", node["metadata"]["name"], error)
            if not nodes:
                await asyncio.sleep(pause)

    async def _lease(self, node: Object) -> None:
        name = node["metadata"]["name"]
        url = path("coordination.k8s.io/v1", "leases", node_status.LEASE_NAMESPACE)
        if name in self._leases:
            try:
                await self.client.patch(f"{url}/{name}", {"spec": {"renewTime": micro_timestamp()}})
                return
            except StatusError as error:
                if error.code != 404:
                    raise
        try:
            await self.client.create(url, node_status.lease(node))
        except StatusError as error:
            if error.code != 409:
                return  # e.g. its namespace is not there yet
            await self.client.patch(f"{url}/{name}", {"spec": {"renewTime": micro_timestamp()}})
        self._leases.add(name)

    def outcome(self, pod: Object, container: Object) -> Outcome:
        """What a container comes to: what `act` says of it once, else what its command shows."""
        if self.act is None:
            return outcome_of(pod, container)
        key = (pod["metadata"]["uid"], str(container.get("name")), restarts(pod, container))
        found = self._acted.get(key) or self.act(pod, container)
        if found is None:
            return outcome_of(pod, container)
        self._acted[key] = found
        return found

    # what the API server asks of a kubelet

    async def log(self, pod: Object, container: str, request: Request) -> bytes | AsyncIterator[bytes]:
        """GET pods/log. Raises 400 for a container that has not started, 500 for a node that is off."""
        self._reach(pod, "containerLogs", container)
        return logs.answer(pod, container, request, lambda: self._ended(pod, container), self.output, self.outcome)

    async def stream(self, pod: Object, container: str, request: Request) -> None:
        """Exec and attach, over the request's WebSocket. Raises 500 for a container that does not run."""
        self._reach(pod, request.subresource, container)

        async def ended() -> Object | None:
            return await self._ended(pod, container)

        await execution.answer(pod, container, request, self.references, ended, self.outcome)

    async def call(self, pod: Object, port: int, request: HttpRequest) -> HttpAnswer | None:
        """What a program in a pod answers on a port; None where nothing listens."""
        answer = (
            self.ports.of(pod, port) if self.ports and not self.stopped(pod["spec"].get("nodeName") or "") else None
        )
        return await answer(request) if answer else None

    def listens(self, pod: Object) -> bool:
        """Whether a program in a pod listens on any port."""
        return self.ports is not None and self.ports.any(pod)

    async def forward(self, pod: Object, request: Request) -> None:
        """Forwards ports of a pod over the request's WebSocket. Raises 400 for a client that speaks no such protocol."""
        self._reach(pod, "portForward", "")
        ports = self.ports
        await port_forward.answer(pod, request, lambda port: ports.of(pod, port) if ports else None)

    def _reach(self, pod: Object, what: str, container: str) -> None:
        """Raises 500 for a node whose machine is off."""
        name = pod["spec"]["nodeName"]
        if self.stopped(name):
            node = self.nodes.get(name)
            address = f"{node_address(node) if node is not None else name}:10250"
            url = f"https://{address}/{what}/{key_of(pod)}/{container}"
            raise errors.plain_500(f'Get "{url}": dial tcp {address}: i/o timeout')

    async def _ended(self, pod: Object, container: str) -> Object | None:
        """Waits until a container has ended; the pod as it is then, None if that is gone."""

        def current() -> Object | None:
            found = self.pods.get(key_of(pod))
            return found if found is not None and found["metadata"]["uid"] == pod["metadata"]["uid"] else None

        def is_over() -> bool:
            found = current()
            return found is None or not logs.is_running(found, container)

        while not await self.pods.until(is_over, FOLLOW_SECONDS):
            pass
        return current()


def _changed_conditions(old: list[Object], new: list[Object]) -> list[Object]:
    by_type = {condition["type"]: condition for condition in old}
    found = []
    for condition in new:
        before = by_type.get(condition["type"])
        if before is None or any(before.get(key) != value for key, value in condition.items()):
            found.append(condition)
    return found


def _field_path(pod: Object, container: str) -> str:
    if not container:
        return ""
    inits = pod["spec"].get("initContainers") or ()
    kind = "initContainers" if any(c["name"] == container for c in inits) else "containers"
    return f"spec.{kind}{{{container}}}"
