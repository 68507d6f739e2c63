"""The reconcilers of source-controller, and servers that they fetch from."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from azsandbox.controllers.client import Object, path
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.source.reconcilers import RECONCILERS
from azsandbox.flux.source.tree import Tree, unarchived
from tests.azsandbox.flux.conftest import Flux
from tests.fidelity.fixtures import Fixtures

API = "source.toolkit.fluxcd.io/v1"
PLURALS = {
    "GitRepository": "gitrepositories",
    "HelmRepository": "helmrepositories",
    "HelmChart": "helmcharts",
    "OCIRepository": "ocirepositories",
    "Bucket": "buckets",
}


class Sources:
    """Sources in namespace apps."""

    def __init__(self, flux: Flux, fixtures: Fixtures) -> None:
        self.flux, self.fixtures = flux, fixtures
        self.artifacts = Artifacts(flux.runtime.storage, "flux-system")

    def url(self, kind: str, name: str) -> str:
        return path(API, PLURALS[kind], "apps", name)

    async def make(self, kind: str, name: str = "it", **spec: Any) -> None:
        """Creates a source."""
        await self.flux.make(API, PLURALS[kind], name, {"interval": "10m", **spec})

    async def git(self, repository: str = "fleet", name: str = "it", **spec: Any) -> None:
        """Creates a GitRepository of one of the fixtures' repositories."""
        url = f"http://{self.fixtures.address}/git/{repository}.git"
        await self.make("GitRepository", name, **{"url": url, "ref": {"branch": "main"}, **spec})

    async def change(self, kind: str, name: str = "it", **spec: Any) -> None:
        await self.flux.client.patch(self.url(kind, name), {"spec": spec})

    async def ask(self, kind: str, name: str = "it") -> None:
        """Asks for a reconciliation, and waits until it is done."""
        token = str(time.time_ns())
        change = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        await self.flux.client.patch(self.url(kind, name), change)
        await self.until(kind, name, lambda obj: obj["status"].get("lastHandledReconcileAt") == token)

    async def until(self, kind: str, name: str, seen: Any) -> Object:
        return await self.flux.until(self.url(kind, name), seen)

    async def ready(self, kind: str, name: str = "it") -> Object:
        """A source's status once it is ready in its newest generation."""
        found = await self.until(
            kind, name, lambda obj: _is_settled(obj) and condition(obj, "Ready")["status"] == "True"
        )
        return dict(found["status"])

    async def failed(self, kind: str, name: str = "it", status: str = "False") -> Object:
        """The Ready condition of a source that has failed."""
        found = await self.until(kind, name, lambda obj: condition(obj, "Ready").get("status") == status)
        return condition(found, "Ready")

    async def files(self, kind: str, name: str = "it") -> dict[str, str]:
        """The files in a source's artifact."""
        status = await self.ready(kind, name)
        tree = await self.tree(status)
        return {file: content.data.decode() for file, content in tree.files.items()}

    async def tree(self, status: Object) -> Tree:
        data = await asyncio.to_thread(self.artifacts.file(status["artifact"]).read_bytes)
        return unarchived(data)

    async def secret(self, name: str, **data: str) -> None:
        await self.flux.make("v1", "secrets", name, data)


def condition(obj: Object, kind: str) -> Object:
    """A condition, {} where it is not there."""
    found = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind), {})


def _is_settled(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"])


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def fixtures() -> Iterator[Fixtures]:
    found = Fixtures()
    yield found
    found.close()


@pytest.fixture
async def sources(flux: Flux, fixtures: Fixtures) -> AsyncIterator[Sources]:
    reconcilers = await flux.run(*RECONCILERS)
    yield Sources(flux, fixtures)
    for reconciler in reconcilers:
        await reconciler.close()
