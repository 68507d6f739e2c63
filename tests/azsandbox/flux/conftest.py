"""An API server with Flux's definitions, and reconcilers that are run by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from azsandbox.cluster import Cluster
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.flux import facts
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.store import Store
from tests.azsandbox.flux.web import Web, web


class Flux:
    """One cluster, with namespace `apps`."""

    def __init__(self, client: KubeClient, folder: Path) -> None:
        self.client, self.runtime = client, FluxRuntime(folder)
        self._tasks: list[asyncio.Task[None]] = []
        self._informers: list[Informers] = []

    async def run(self, *kinds: type[Controller], **options: Any) -> list[Any]:
        """Runs reconcilers of one controller until the test ends; returns them once they have looked around."""
        informers = Informers(self.client)
        found = [kind(self.client, informers, flux=self.runtime, namespace="flux-system", **options) for kind in kinds]
        await informers.synced()
        self._tasks += [asyncio.create_task(reconciler.run()) for reconciler in found]
        self._informers.append(informers)
        await asyncio.sleep(0)
        return found

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for informers in self._informers:
            await informers.stop()

    async def make(self, api_version: str, resource: str, name: str, spec: Any, **more: Any) -> Object:
        """Creates an object in namespace apps; `more` are labels, annotations … of its metadata."""
        kind = {"secrets": "Secret", "configmaps": "ConfigMap"}.get(resource) or next(
            d["spec"]["names"]["kind"] for d in facts.definitions() if d["spec"]["names"]["plural"] == resource
        )
        body = {"stringData": spec} if kind == "Secret" else {"spec": spec}
        metadata = {"name": name, **more}
        whole = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
        return await self.client.create(path(api_version, resource, "apps"), whole)

    async def until(self, url: str, seen: Callable[[Object], Any]) -> Object:
        """An object or list, once `seen` is true of it."""
        async with asyncio.timeout(10):
            while True:
                found = await self.client.find(url)
                if found is not None and seen(found):
                    return found
                await asyncio.sleep(0.01)

    async def logged(self, program: str, text: str) -> str:
        """A line of a controller's log that has `text` in it, once there is one."""
        async with asyncio.timeout(10):
            while True:
                for _, line in self.runtime.output._lines.get(program, ()):
                    if text in line:
                        return line
                await asyncio.sleep(0.01)

    async def events(self, kind: str, name: str, count: int = 1) -> list[tuple[str, str, str]]:
        """Type, reason and message of the events about an object, once there are `count`."""

        def about(found: Object) -> list[Object]:
            wanted = {"kind": kind, "name": name}
            return [e for e in found["items"] if all(e["involvedObject"][k] == v for k, v in wanted.items())]

        found = await self.until(path("v1", "events", "apps"), lambda items: len(about(items)) >= count)
        return [(event["type"], event["reason"], event["message"]) for event in about(found)]


@pytest.fixture
async def flux(tmp_path: Path) -> AsyncIterator[Flux]:
    cluster = Cluster("flux", Store(None).bucket("cluster"))
    await cluster.start()
    found = Flux(cluster.client, tmp_path)
    for definition in facts.definitions():
        await cluster.client.create(path("apiextensions.k8s.io/v1", "customresourcedefinitions"), definition)
    await cluster.client.create(path("v1", "namespaces"), {"metadata": {"name": "apps"}})
    await found.until("/apis/notification.toolkit.fluxcd.io/v1beta3", lambda _: True)
    yield found
    await found.stop()
    with contextlib.suppress(TimeoutError):
        await cluster.stop()


@pytest.fixture
async def hooks() -> AsyncIterator[Web]:
    async with web() as found:
        yield found
