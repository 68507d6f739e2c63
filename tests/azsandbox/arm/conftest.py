"""Resource Manager by itself, with a directory that is only as much of Entra ID as it needs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from azsandbox.arm import Arm
from azsandbox.clock import Clock
from azsandbox.store import Store

SUBSCRIPTION = "5a9d3c1e-7f42-4c1b-9d57-0e6b5f2a1c34"
TENANT = "b7f1c0de-52c4-4b0e-8a7d-3f1d2c6e9a10"
LEARNER = "0f7a2b9c-1111-4e0a-9b1f-2d3c4b5a6978"


@dataclass(frozen=True)
class Identity:
    object_id: str
    name: str = "learner@lab.example"
    kind: str = "user"
    groups: tuple[str, ...] = ()


@dataclass
class Principal:
    object_id: str
    app_id: str = ""
    kind: str = "servicePrincipal"


@dataclass
class Directory:
    principals: dict[str, Principal] = field(default_factory=dict)

    def create_service_principal(
        self, display_name: str, kind: str = "ManagedIdentity", app_id: str | None = None
    ) -> Principal:
        made = Principal(str(uuid.uuid4()), app_id or str(uuid.uuid4()))
        self.principals[made.object_id] = made
        return made

    def get(self, object_id: str) -> Principal | None:
        return self.principals.get(object_id)

    def groups_of(self, object_id: str) -> tuple[str, ...]:
        return ()


class Entra:
    """A token is `object id[,group…]`."""

    def __init__(self) -> None:
        self.directory = Directory({LEARNER: Principal(LEARNER, kind="user")})

    def verify(self, token: str, audiences: tuple[str, ...] | None) -> Identity:
        object_id, *groups = token.split(",")
        if object_id not in self.directory.principals:
            raise ValueError("Signature validation failed")
        return Identity(object_id, groups=tuple(groups))


class Services:
    def __init__(self, store: Store, clock: Clock) -> None:
        self.state, self.store = store, store.bucket("arm")
        self.clock, self.entra, self.clusters = clock, Entra(), None
        self.tenant_id, self.subscription_id, self.owner_ids = TENANT, SUBSCRIPTION, (LEARNER,)


class Client:
    """Requests to the app, without a network. Paths may begin with `~` for the subscription."""

    def __init__(self, arm: Arm, token: str = LEARNER) -> None:
        self.arm = arm
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(arm.app), base_url="https://sandbox.test:8443")
        self.http.headers["Authorization"] = f"Bearer {token}"

    async def __call__(
        self, method: str, path: str, body: Any = None, version: str | None = "2024-11-01", **headers: str
    ) -> httpx.Response:
        path = path.replace("~", f"/subscriptions/{SUBSCRIPTION}", 1)
        if version and "api-version=" not in path:
            path += ("&" if "?" in path else "?") + f"api-version={version}"
        return await self.http.request(
            method, path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    async def done(self, answer: httpx.Response) -> httpx.Response:
        """Follows the operation of an answer to its end."""
        import asyncio

        url = answer.headers.get("azure-asyncoperation") or answer.headers["location"]
        for _ in range(400):
            found = await self.http.get(url)
            if found.status_code != 202 and (found.content == b"" or found.json().get("status") != "InProgress"):
                return found
            await asyncio.sleep(0.02)
        raise TimeoutError(url)


@pytest.fixture
async def arm():
    made = Arm(Services(Store(None), Clock()))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def call(arm: Arm) -> Client:
    return Client(arm)
