from __future__ import annotations

import hashlib
from typing import Any

import pytest

from azsandbox.controllers.client import MERGE, Object, path
from azsandbox.flux.conditions import find
from azsandbox.flux.notification.receivers import API_VERSION, Receivers
from tests.azsandbox.flux.conftest import Flux

URL = path(API_VERSION, "receivers", "apps", "hook")
RESOURCES = [{"kind": "GitRepository", "name": "fleet"}]


def reason(obj: Object, kind: str) -> str | None:
    return (find(obj, kind) or {}).get("reason")


async def receiver(flux: Flux, **spec: Any) -> None:
    whole = {"type": "generic", "secretRef": {"name": "token"}, "resources": RESOURCES, **spec}
    await flux.make(API_VERSION, "receivers", "hook", whole)
    await flux.run(Receivers)


async def test_a_receivers_path_comes_from_token_name_and_namespace(flux: Flux) -> None:
    await flux.make("v1", "secrets", "token", {"token": "abc"})
    await receiver(flux, interval="5m")
    found = await flux.until(URL, lambda obj: reason(obj, "Ready") == "Succeeded")
    digest = hashlib.sha256(b"abchookapps").hexdigest()
    assert found["status"]["webhookPath"] == f"/hook/{digest}"
    assert find(found, "Reconciling") is None and found["status"]["observedGeneration"] == 1
    assert await flux.events("Receiver", "hook") == [
        ("Normal", "Succeeded", "Reconciliation finished, next run in 5m0s")
    ]


async def test_a_receiver_without_its_secret_tries_again(flux: Flux) -> None:
    await receiver(flux)
    found = await flux.until(URL, lambda obj: reason(obj, "Ready") == "TokenNotFound")
    message = "unable to read token from secret 'apps/token' error: secrets \"token\" not found"
    assert find(found, "Ready")["message"] == message  # type: ignore[index]
    assert reason(found, "Reconciling") == "ProgressingWithRetry"
    assert (await flux.events("Receiver", "hook"))[0] == ("Warning", "Failed", message)
    await flux.make("v1", "secrets", "token", {"token": "abc"})
    await flux.until(URL, lambda obj: reason(obj, "Ready") == "Succeeded")


async def test_a_changed_secret_that_is_watched_changes_the_path_at_once(flux: Flux) -> None:
    await flux.make("v1", "secrets", "token", {"token": "a"}, labels={"reconcile.fluxcd.io/watch": "Enabled"})
    await receiver(flux)
    before = await flux.until(URL, lambda obj: reason(obj, "Ready") == "Succeeded")
    await flux.client.patch(path("v1", "secrets", "apps", "token"), {"stringData": {"token": "b"}}, MERGE)
    await flux.until(URL, lambda obj: obj["status"]["webhookPath"] != before["status"]["webhookPath"])


@pytest.mark.parametrize(
    ("spec", "why", "message"),
    [
        (
            {"resourceFilter": "req.x"},
            "InvalidCELExpression",
            "invalid resourceFilter expression: CEL expression output type mismatch: expected bool, got dyn",
        ),
        (
            {"resources": [{**RESOURCES[0], "filter": "1 +"}]},
            "InvalidCELExpression",
            'invalid filter expression for resources[0] (kind="GitRepository", name="fleet"): failed to parse',
        ),
    ],
)
async def test_a_bad_expression_stalls_a_receiver(flux: Flux, spec: dict[str, Any], why: str, message: str) -> None:
    await flux.make("v1", "secrets", "token", {"token": "abc"})
    await receiver(flux, **spec)
    found = await flux.until(URL, lambda obj: reason(obj, "Stalled") == why)
    ready = find(found, "Ready")
    assert ready is not None and ready["status"] == "False"
    assert ready["message"].startswith(f"Reconciliation failed terminally due to configuration error: {message}")
    assert found["status"]["observedGeneration"] == 1


async def test_a_suspended_receiver_is_left_alone_but_notes_what_it_is_asked(flux: Flux) -> None:
    await flux.make("v1", "secrets", "token", {"token": "abc"})
    await receiver(flux, suspend=True)
    found = await flux.until(URL, lambda obj: "finalizers" in obj["metadata"])
    assert found["status"] == {"observedGeneration": -1}
    asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
    await flux.client.patch(URL, asked, MERGE)
    found = await flux.until(URL, lambda obj: obj["status"].get("lastHandledReconcileAt") == "now")
    assert "webhookPath" not in found["status"]
