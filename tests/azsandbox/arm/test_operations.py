"""Long-running operations: forms, progress, and what a crash leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

from azsandbox.arm import Arm
from azsandbox.clock import Clock
from azsandbox.store import Store
from tests.azsandbox.arm.conftest import Client, Services

VNET = "~/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet"
BODY = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
V = "2024-07-01"


async def test_an_operation_goes_on_after_a_crash(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    first = Arm(Services(store, Clock("stepped")))
    await first.start()
    call = Client(first)
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    made = await call("PUT", VNET, BODY, V)
    assert made.status_code == 201
    await asyncio.sleep(0.01)
    first._task.cancel()  # as kill -9: nothing is finished or put away
    store.connection.close()
    again = Arm(Services(Store(tmp_path / "state.db"), Clock()))
    await again.start()
    call = Client(again)
    assert (await call("GET", VNET, version=V)).json()["properties"]["provisioningState"] == "Updating"
    done = await call.done(made)
    assert done.json() == {"status": "Succeeded"}
    assert (await call("GET", VNET, version=V)).json()["properties"]["provisioningState"] == "Succeeded"
    await again.close()


async def test_progress_is_as_true_as_the_clock(tmp_path: Path) -> None:
    clock = Clock("stepped")
    arm = Arm(Services(Store(None), clock))
    await arm.start()
    call = Client(arm)
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    url = (await call("PUT", VNET, BODY, V)).headers["azure-asyncoperation"]
    await asyncio.sleep(0.01)
    clock.advance(1.0)
    running = (await call.http.get(url)).json()
    assert running["status"] == "InProgress" and 24 < running["percentComplete"] < 30
    clock.advance(4.0)
    await asyncio.sleep(0.01)
    assert (await call.http.get(url)).json()["status"] == "Succeeded"
    await arm.close()


async def test_operation_urls_are_on_the_host_that_was_asked(call: Client) -> None:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    made = await call("PUT", VNET, BODY, V, Host="management.azure.com")
    assert made.headers["azure-asyncoperation"].startswith("https://management.azure.com/subscriptions/")
    assert made.headers["azure-asyncnotification"] == "Enabled"
    assert "retry-after" not in made.headers and made.headers["x-ms-retry-after-ms"] == "50"


async def test_an_unknown_operation_is_not_found(call: Client) -> None:
    answer = await call("GET", "~/providers/Microsoft.Network/locations/westeurope/operations/none", version=V)
    assert answer.status_code == 404


async def test_a_group_that_is_being_deleted_takes_nothing_new(tmp_path: Path) -> None:
    clock = Clock("stepped")
    arm = Arm(Services(Store(None), clock))
    await arm.start()
    call = Client(arm)
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    await call("DELETE", "~/resourceGroups/rg")
    refused = await call("PUT", VNET, BODY, V)
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "ResourceGroupBeingDeleted"
    await arm.close()
