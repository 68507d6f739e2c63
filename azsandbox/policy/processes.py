"""Gatekeeper as a process: it judges while a Deployment of it has a pod."""

from __future__ import annotations

import asyncio
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.output import program_of
from azsandbox.policy.audit import Audit
from azsandbox.policy.constraints import Constraints
from azsandbox.policy.definitions import facts
from azsandbox.policy.gatekeeper import Gatekeeper
from azsandbox.policy.inventory import Sync
from azsandbox.policy.pods import GatekeeperPods, operations_of
from azsandbox.policy.templates import ConstraintTemplates
from azsandbox.policy.webhook import ACCOUNT, Webhook
from azsandbox.tasks import end

PROGRAM = "gatekeeper"
SERVICE = "gatekeeper-webhook-service"


class GatekeeperProcess:
    """What runs in the pods of Gatekeeper in one namespace. `operations` says whether it audits, judges, or both."""

    def __init__(self, namespace: str, client: KubeClient, options: dict[str, Any]) -> None:
        account = f"system:serviceaccount:{namespace}:{ACCOUNT}"
        self.namespace, self.options = namespace, options
        self.client = client.acting_as(account, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"))
        self.informers = Informers(self.client)
        self.gatekeeper = Gatekeeper()
        self.namespaces = self.informers.of("v1", "namespaces")
        self.namespaces.on_change(self._namespace_changed)
        self.webhook = Webhook(self.gatekeeper, self.client, self._namespace, namespace)
        shared = {
            **options,
            "gatekeeper": self.gatekeeper,
            "gatekeeper_pods": GatekeeperPods(self.informers, namespace),
        }
        kinds: list[type[Controller]] = [ConstraintTemplates, Constraints]
        self.tasks = [asyncio.create_task(kind(self.client, self.informers, **shared).run()) for kind in kinds]
        known = {"inventory": self.gatekeeper.inventory, "exclusions": self.gatekeeper.exclusions}
        sync = Sync(self.client, **{**options, **known, "namespace": namespace})
        self.tasks.append(asyncio.create_task(sync.run()))
        self._auditing: asyncio.Task[None] | None = None

    def _namespace_changed(self, kind: str, namespace: Object, old: Object | None) -> None:
        """What is in a namespace that goes was not asked about one by one."""
        self.gatekeeper.changes += 1

    async def _namespace(self, name: str) -> Object | None:
        """A Namespace as it is known; asked for if it is so new that it is not."""
        return self.namespaces.get(name) or await self.client.find(path("v1", "namespaces", name=name))

    def operate(self, judges: bool, audits: bool) -> None:
        """Serves the webhook while a pod judges, and audits while one audits."""
        cluster = self.options.get("cluster")
        if cluster is not None:
            services = cluster.server.local_services
            if judges:
                services[self.namespace, SERVICE] = self.webhook.answer
            else:
                services.pop((self.namespace, SERVICE), None)
        if audits and self._auditing is None:
            clock = self.options.get("clock")
            real = clock is not None and clock.speed == "real"
            known = facts()
            seconds = float(known["audit_seconds" if real else "audit_seconds_fast"])
            rest = float(known["audit_seconds" if real else "audit_seconds_fast_at_rest"])
            self._auditing = asyncio.create_task(Audit(self.client, self.gatekeeper, seconds, rest).run())
        elif not audits and self._auditing is not None:
            self._auditing.cancel()
            self._auditing = None

    async def stop(self) -> None:
        self.operate(False, False)
        await end(self.tasks)
        await self.informers.stop()


class GatekeeperProcesses(Controller):
    """Starts and stops Gatekeeper as its Deployments get and lose their pods. Keys are namespaces."""

    name = "gatekeeper-processes"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.processes: dict[str, GatekeeperProcess] = {}
        self.deployments = informers.of("apps/v1", "deployments")
        self.deployments.on_change(self._changed)

    def _changed(self, kind: str, deployment: Object, old: Object | None) -> None:
        if _is_gatekeeper(deployment):
            self.queue.add(deployment["metadata"]["namespace"])

    async def reconcile(self, key: str) -> None:
        """Lets a namespace's Gatekeeper do what its Deployments have pods for."""
        running = [d for d in self.deployments.list(key) if _is_gatekeeper(d) and _available(d)]
        operations = {operation for d in running for operation in operations_of(d["spec"]["template"]["spec"])}
        process = self.processes.get(key)
        if not running:
            if process is not None:
                del self.processes[key]
                await process.stop()
            return
        if process is None:
            process = self.processes[key] = GatekeeperProcess(key, self.client, self.options)
        process.operate("webhook" in operations, "audit" in operations)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            await super().run()
        finally:
            await asyncio.gather(*(process.stop() for process in self.processes.values()), return_exceptions=True)
            self.processes.clear()


def _available(deployment: Object) -> bool:
    return bool((deployment.get("status") or {}).get("availableReplicas"))


def _is_gatekeeper(deployment: Object) -> bool:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return any(program_of(container["image"]) == PROGRAM for container in containers)
