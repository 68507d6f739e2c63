"""Entra ID by itself, over ASGI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from azsandbox.clock import Clock
from azsandbox.entra import Entra
from azsandbox.store import Store

TENANT = "7b1c9d0e-2f3a-4b5c-8d6e-9f0a1b2c3d4e"
SUBSCRIPTION = "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
ARM = "https://management.azure.com/"
GRAPH = "https://graph.microsoft.com/"


@pytest.fixture
def store() -> Store:
    return Store(None)


@pytest.fixture(scope="session")
def signing_key() -> bytes:
    """One key for all tests: making one takes a tenth of a second."""
    entra = Entra(Store(None).bucket("entra"), Clock(), TENANT, SUBSCRIPTION)
    entra.tokens.key_set()
    record = entra.bucket.get("keys", "signing")
    assert record is not None
    return record.value


@pytest.fixture
def entra(store: Store, signing_key: bytes) -> Entra:
    bucket = store.bucket("entra")
    bucket.put("keys", "signing", signing_key)
    return Entra(bucket, Clock("stepped"), TENANT, SUBSCRIPTION)


@pytest.fixture
def login(entra: Entra) -> httpx.AsyncClient:
    """A client of the login host."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=entra.app),  # type: ignore[arg-type]
        base_url=f"https://login.microsoftonline.com/{TENANT}",
    )


@pytest.fixture
def graph(entra: Entra) -> Callable[..., Any]:
    """Asks Graph as a persona (the learner): `await graph("GET", "/me")` gives status and body."""

    async def ask(
        method: str,
        path: str,
        body: Any = None,
        *,
        persona: str = "learner",
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        person = next(p for p in entra.personas() if p.key == persona)
        bearer = token or entra.issue(person.object_id, GRAPH)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=entra.app),  # type: ignore[arg-type]
            base_url="https://graph.microsoft.com",
        ) as client:
            address = path if path.startswith("https:") else f"https://graph.microsoft.com/v1.0{path}"
            answer = await client.request(
                method, address, json=body, headers={"Authorization": f"Bearer {bearer}", **(headers or {})}
            )
        return answer.status_code, answer.json() if answer.content else None

    return ask
