"""fluxconfig-agent: brings Azure's Flux configurations into the cluster as FluxConfigs, and their status to Azure.

Microsoft Learn, "Application deployments with GitOps (Flux v2)", says what it does; how often it asks Azure does not
matter here, where it is told of changes.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from azsandbox.aks.gitops import compliance, objects
from azsandbox.controllers.client import MERGE, KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.kubernetes.errors import StatusError

if TYPE_CHECKING:
    from azsandbox.arm.providers.kubernetesconfiguration.data_plane import Configuration, DataPlane

AGAIN = 300.0  # seconds after which a configuration is looked at again though nothing changed


class FluxConfigAgent(Controller):
    """The agent of one cluster; its keys are names of configurations."""

    name = user_agent = "fluxconfig-agent"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.plane: DataPlane = options["data_plane"]
        self.configs = informers.of(objects.API, "fluxconfigs")
        self.configs.on_change(self._changed)
        self._brought: dict[str, tuple[Object, float]] = {}  # name → what Azure had of it, and when it was brought

    def _changed(self, kind: str, obj: Object, old: Object | None) -> None:
        """Queues a configuration; unless only the status of its FluxConfig changed, it is brought again."""
        name = obj["metadata"]["name"].lower()
        if kind != "MODIFIED" or old is None or objects.differs(old, obj) or objects.differs(obj, old):
            self._brought.pop(name, None)
        self.queue.add(name)

    async def run(self) -> None:
        """Works until cancelled, on what changes in Azure and in the cluster."""
        await asyncio.gather(super().run(), self._follow_azure())

    async def _follow_azure(self) -> None:
        with closing(self.plane.watch()) as changes:
            self._all()
            async for event in changes:
                kind, _, name = event.key.rpartition("/")
                if kind.endswith("/fluxconfigurations"):
                    self.queue.add(name)
                else:  # the extension: what it serves may have changed
                    self._all()

    def _all(self) -> None:
        for name in self.plane.names():
            self.queue.add(name.lower())

    async def reconcile(self, key: str) -> None:
        """Brings one configuration into the cluster, or out of it, and tells Azure how it is."""
        if not self.plane.serves():
            return
        wanted = self.plane.configuration(key)
        if wanted is None:  # none of Azure's, or one that was deleted by force: what is in the cluster stays
            return
        namespace = wanted.properties["namespace"]
        url = path(objects.API, "fluxconfigs", namespace, wanted.name)
        if wanted.deleting:
            await self._withdraw(wanted, url)
            return
        config = self.configs.get(f"{namespace}/{wanted.name}")
        asked = {
            "config": objects.flux_config(wanted.name, wanted.properties, wanted.operation, wanted.protected),
            "protected": wanted.protected,
        }
        before, since = self._brought.get(key, ({}, 0.0))
        if config is None or asked != before or time.monotonic() - since >= AGAIN:
            self._brought[key] = asked, time.monotonic()
            try:
                config = await self._bring(wanted, url)
            except BaseException:
                self._brought.pop(key, None)
                raise
        await self._tell(wanted.name, config, url)
        self.queue.add_after(key, AGAIN)

    async def _withdraw(self, wanted: Configuration, url: str) -> None:
        """Deletes the FluxConfig, and what was handed over with it once it has gone."""
        found = await self.client.find(url)
        if found is not None:
            if "deletionTimestamp" not in found["metadata"]:
                await self.client.gone(url)
            return
        secret = f"{wanted.name}-protected-parameters"
        await self.client.gone(path("v1", "secrets", wanted.properties["namespace"], secret))
        self.plane.withdrawn(wanted.name)

    async def _bring(self, wanted: Configuration, url: str) -> Object:
        """Writes namespace, protected parameters and FluxConfig, as far as they are not so already."""
        namespace = wanted.properties["namespace"]
        if await self.client.find(path("v1", "namespaces", name=namespace)) is None:
            await self._create(path("v1", "namespaces"), objects.namespace(namespace))
        found = await self.client.find(url)
        operation = wanted.operation or (found or {}).get("spec", {}).get("operationId", "")
        if wanted.protected:
            await self._put(objects.protected_parameters(wanted.name, namespace, wanted.protected))
        config = objects.flux_config(wanted.name, wanted.properties, operation, wanted.protected)
        return await self._put(config)

    async def _put(self, wanted: Object) -> Object:
        metadata = wanted["metadata"]
        plural, space = objects.PLURALS[wanted["kind"]], metadata["namespace"]
        url = path(wanted["apiVersion"], plural, space, metadata["name"])
        found = await self.client.find(url)
        if found is None:
            return await self.client.create(path(wanted["apiVersion"], plural, space), wanted)
        if not objects.differs(wanted, found):
            return found
        parts: Object = {part: wanted[part] for part in ("spec", "data") if part in wanted}
        return await self.client.update(url, {**found, **parts})

    async def _create(self, url: str, obj: Object) -> None:
        try:
            await self.client.create(url, obj)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise

    async def _tell(self, name: str, config: Object, url: str) -> None:
        """Reports a FluxConfig's status, and notes in it that Azure has it."""
        from azsandbox.arm.providers.kubernetesconfiguration.data_plane import Report

        status = config.get("status") or {}
        fresh = status.get("observedGeneration") == config["metadata"]["generation"]
        if not status or not fresh:
            return
        report = Report(
            compliance.reported(config),
            config["spec"]["operationId"],
            str(status.get("provisioningState") or ""),
            str(status.get("message") or ""),
        )
        if self.plane.report(name, report):
            synced = {"isSyncedWithAzure": True, "lastSyncedTime": timestamp()}
            await self.client.patch(f"{url}/status", {"status": {"dataplaneStatus": synced}}, MERGE)
