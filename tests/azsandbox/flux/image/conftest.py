"""The reconcilers of both image controllers, and a registry and Git repositories for them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from azsandbox.controllers.client import Object, path
from azsandbox.flux.image.reconcilers import RECONCILERS
from tests.azsandbox.flux.conftest import Flux
from tests.fidelity.fixtures import Fixtures

API = "image.toolkit.fluxcd.io/v1"
PLURALS = {
    "ImageRepository": "imagerepositories",
    "ImagePolicy": "imagepolicies",
    "ImageUpdateAutomation": "imageupdateautomations",
}


class Images:
    """Objects of the image controllers in namespace apps."""

    def __init__(self, flux: Flux, fixtures: Fixtures) -> None:
        self.flux, self.fixtures = flux, fixtures

    def url(self, kind: str, name: str) -> str:
        return path(API, PLURALS[kind], "apps", name)

    def tag(self, *tags: str, image: str = "team/app") -> None:
        """Pushes images that differ."""
        for tag in tags:
            self.fixtures.push(image, tag, tag.encode(), b"")

    async def repository(self, name: str = "app", **spec: Any) -> None:
        image = f"{self.fixtures.address}/team/app"
        await self.make("ImageRepository", name, **{"image": image, "insecure": True, "interval": "10m", **spec})

    async def policy(self, name: str = "app", *, labels: dict[str, str] | None = None, **spec: Any) -> None:
        wanted = {"imageRepositoryRef": {"name": "app"}, "policy": {"semver": {"range": "*"}}, **spec}
        await self.flux.make(API, PLURALS["ImagePolicy"], name, wanted, labels=labels or {})

    async def make(self, kind: str, name: str, **spec: Any) -> None:
        await self.flux.make(API, PLURALS[kind], name, spec)

    async def change(self, kind: str, name: str, **spec: Any) -> None:
        await self.flux.client.patch(self.url(kind, name), {"spec": spec})

    async def ask(self, kind: str, name: str) -> None:
        """Asks for a reconciliation, and waits until it is done."""
        token = str(time.time_ns())
        change = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        await self.flux.client.patch(self.url(kind, name), change)
        await self.until(kind, name, lambda status: status.get("lastHandledReconcileAt") == token)

    async def until(self, kind: str, name: str, seen: Callable[[Object], Any]) -> Object:
        """The status of an object, once `seen` is true of it."""
        found = await self.flux.until(self.url(kind, name), lambda obj: seen(obj.get("status") or {}))
        return dict(found["status"])

    async def ready(self, kind: str, name: str) -> Object:
        """The status of an object that is ready, in its newest generation."""
        found = await self.flux.until(
            self.url(kind, name),
            lambda obj: (
                (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
                and condition(obj["status"], "Ready").get("status") == "True"
            ),
        )
        return dict(found["status"])

    async def failed(self, kind: str, name: str) -> tuple[str, str]:
        """Reason and message of an object that is not ready."""
        status = await self.until(kind, name, lambda status: condition(status, "Ready").get("status") == "False")
        ready = condition(status, "Ready")
        return ready["reason"], ready["message"]

    async def stalled(self, kind: str, name: str) -> tuple[str, str]:
        """Reason and message of an object that nothing but a change can help."""
        status = await self.until(kind, name, lambda status: condition(status, "Stalled").get("status") == "True")
        found = condition(status, "Stalled")
        return found["reason"], found["message"]


def condition(status: Object, kind: str) -> Object:
    """A condition, {} where it is not there."""
    return next((c for c in status.get("conditions") or [] if c["type"] == kind), {})


@pytest.fixture
def fixtures() -> Iterator[Fixtures]:
    found = Fixtures()
    yield found
    found.close()


@pytest.fixture
async def images(flux: Flux, fixtures: Fixtures) -> AsyncIterator[Images]:
    reconcilers = await flux.run(*RECONCILERS, memory={})
    yield Images(flux, fixtures)
    for reconciler in reconcilers:
        await reconciler.close()
