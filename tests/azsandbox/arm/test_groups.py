"""Resource groups."""

from __future__ import annotations

from tests.azsandbox.arm.conftest import Client


async def test_a_group_is_created_read_updated_and_deleted(call: Client) -> None:
    made = await call("PUT", "~/resourcegroups/rg-one", {"location": "West Europe", "tags": {"a": "b"}})
    assert made.status_code == 201
    assert made.json()["id"].endswith("/resourceGroups/rg-one")
    assert made.json()["location"] == "westeurope"
    assert (await call("PUT", "~/resourceGroups/RG-ONE", {"location": "westeurope"})).status_code == 200
    assert (await call("HEAD", "~/resourcegroups/rg-one")).status_code == 204
    gone = await call("DELETE", "~/resourcegroups/rg-one")
    assert gone.status_code == 202 and "azure-asyncoperation" not in gone.headers
    assert gone.headers["location"].startswith("https://sandbox.test:8443/subscriptions/")
    assert (await call.done(gone)).status_code == 200
    assert (await call("HEAD", "~/resourcegroups/rg-one")).status_code == 404


async def test_a_missing_group_is_named(call: Client) -> None:
    for method in ("GET", "DELETE"):
        answer = await call(method, "~/resourcegroups/none")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "Resource group 'none' could not be found."
