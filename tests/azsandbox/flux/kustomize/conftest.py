"""A cluster with kustomize-controller alone: the tests put artifacts into the storage themselves."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import KubeClient, Object, Objects, path
from azsandbox.flux import facts
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.installation import address, install
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.store import Store
from tests.azsandbox.flux.kustomize.waiting import until

SOURCES, KUSTOMIZATIONS = "source.toolkit.fluxcd.io/v1", "kustomize.toolkit.fluxcd.io/v1"


def archive(files: dict[str, str]) -> bytes:
    """An artifact's content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as opened:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            opened.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


def config_map(name: str, namespace: str = "default", **data: str) -> str:
    """A manifest."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"a": "b"}})


class Fleet:
    """The cluster as these tests use it."""

    def __init__(self, client: KubeClient, runtime: FluxRuntime) -> None:
        self.client, self.runtime = client, runtime
        self.revisions = 0

    async def push(self, files: dict[str, str], name: str = "fleet", metadata: dict[str, str] | None = None) -> str:
        """Gives a source a new artifact; returns the revision."""
        self.revisions += 1
        revision = f"main@sha1:{self.revisions:040x}"
        storage = Artifacts(self.runtime.storage, "flux-system")
        place = f"gitrepository/default/{name}/{self.revisions}.tar.gz"
        artifact = storage.store(place, archive(files), revision, metadata)
        url = path(SOURCES, "gitrepositories", "default", name)
        if await self.client.find(url) is None:
            spec = {"interval": "1m", "url": "https://git.example.com/fleet"}
            source = {"apiVersion": SOURCES, "kind": "GitRepository", "metadata": {"name": name}, "spec": spec}
            await self.client.create(path(SOURCES, "gitrepositories", "default"), source)
        await self.client.patch(f"{url}/status", {"status": {"artifact": artifact}})
        return revision

    async def create(self, name: str = "apps", **spec: Any) -> None:
        """Creates a Kustomization."""
        whole = {
            "interval": "10m",
            "prune": True,
            "path": "./",
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            **spec,
        }
        obj = {"apiVersion": KUSTOMIZATIONS, "kind": "Kustomization", "metadata": {"name": name}, "spec": whole}
        await self.client.create(path(KUSTOMIZATIONS, "kustomizations", "default"), obj)

    def url(self, name: str = "apps") -> str:
        return path(KUSTOMIZATIONS, "kustomizations", "default", name)

    async def get(self, name: str = "apps") -> Object:
        return await self.client.get(self.url(name))

    async def change(self, name: str = "apps", **spec: Any) -> None:
        """Changes the spec of a Kustomization."""
        await self.client.patch(self.url(name), {"spec": spec})

    async def request(self, name: str = "apps") -> None:
        """Asks for a reconciliation, and waits for it."""
        token = str(time.time_ns())
        await self.client.patch(
            self.url(name), {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        )
        await self.until(lambda obj: obj["status"].get("lastHandledReconcileAt") == token, name)

    async def until(self, seen: Any, name: str = "apps") -> Object:
        """Waits until a Kustomization is as wished."""
        return await until(lambda: self.get(name), seen)

    async def ready(self, name: str = "apps", revision: str = "") -> Object:
        """Waits until a Kustomization is ready in its newest generation, at a revision."""

        def is_ready(obj: Object) -> bool:
            status = obj.get("status") or {}
            return (
                condition(obj, "Ready").get("status") == "True"
                and status.get("observedGeneration") == obj["metadata"]["generation"]
                and revision in ("", status.get("lastAppliedRevision"))
            )

        return await self.until(is_ready, name)

    async def not_ready(self, reason: str, name: str = "apps") -> str:
        """Waits until a Kustomization is not ready for a reason; returns the message."""
        obj = await self.until(
            lambda o: condition(o, "Ready").get("status") == "False" and condition(o, "Ready")["reason"] == reason, name
        )
        return str(condition(obj, "Ready")["message"])

    async def config_map(self, name: str, namespace: str = "default") -> Object | None:
        return await self.client.find(path("v1", "configmaps", namespace, name))

    async def events(self, name: str = "apps") -> Objects:
        found = await self.client.list(path("v1", "events", "default"))
        return [event for event in found if event["involvedObject"]["name"] == name]


def condition(obj: Object, kind: str) -> Object:
    """A condition, {} where it is not there."""
    found = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind), {})


async def installed(tmp_path: Path, **options: Any) -> tuple[Cluster, Fleet]:
    runtime = FluxRuntime(tmp_path)
    cluster = Cluster(
        "fleet",
        Store(None).bucket("cluster"),
        controllers=all_controllers(),
        options={"profile": "kwok", "flux": runtime, **options},
    )
    await cluster.start()
    await add_nodes(cluster.client, 1)
    for definition in facts.definitions_of("source-controller"):
        await cluster.client.apply(address(definition), definition, "flux")
    await install(cluster.client, components=["kustomize-controller"])
    for api_version, plural in ((SOURCES, "gitrepositories"), (KUSTOMIZATIONS, "kustomizations")):
        await until(lambda url=path(api_version, plural): cluster.client.find(url), lambda found: found is not None)
    return cluster, Fleet(cluster.client, runtime)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    cluster, found = await installed(tmp_path)
    yield found
    await cluster.stop()
