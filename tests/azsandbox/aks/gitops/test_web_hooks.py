"""From a push to the sandbox's github.com, over a web hook and a Receiver, to what Flux applies: without waiting for an
interval."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.azsandbox.aks.gitops.test_delivery import SETTINGS, Checkout, Delivery
from tests.azsandbox.arm.containerservice.test_clusters import until
from tests.azsandbox.processes import running

SYSTEM = "/api/v1/namespaces/flux-system"
RECEIVERS = "/apis/notification.toolkit.fluxcd.io/v1/namespaces/hooked/receivers"
SECRET = "not-a-secret-1"
HELLO = "/api/v1/namespaces/hooked/configmaps/hello"


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    folder = tmp_path_factory.mktemp("hooks")
    with running(folder / "home") as sandbox:
        yield Delivery(sandbox, folder)


def settings(stage: str) -> dict[str, str]:
    return {"apps/settings.yaml": SETTINGS.replace("web}", "hooked}").replace("${stage}", stage)}


def create(delivery: Delivery, url: str, body: dict[str, Any]) -> None:
    delivery.kube.post(url, json=body).raise_for_status()


def rest(delivery: Delivery, method: str, place: str, body: dict[str, Any] | None = None) -> Any:
    """What the Git host's REST API answers, as curl gets it inside the sandbox."""
    sent = ["-d", json.dumps(body)] if body else []
    url = f"https://api.github.com/repos/contoso/hooked{place}"
    ask = 'exec curl -sS -H "Authorization: token $GITHUB_TOKEN" "$@"'
    return json.loads(delivery.sandbox.run("exec", "--", "sh", "-c", ask, "ask", "-X", method, *sent, url).stdout)


def test_a_push_is_applied_without_waiting_for_an_interval(delivery: Delivery) -> None:
    checkout = Checkout(delivery.sandbox, delivery.folder, "hooked")
    checkout.push(settings("one"))
    kustomizations = {"all": {"path": "./apps", "prune": True, "syncIntervalInSeconds": 36000}}
    delivery.follow("hooked", checkout, {"namespace": "hooked", "kustomizations": kustomizations})
    assert until(lambda: delivery.data(HELLO) == {"stage": "one"}, 60)

    # An address for the receiver, and a Receiver
    service = {
        "metadata": {"name": "receiver"},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "notification-controller"},
            "ports": [{"port": 80, "targetPort": "http-webhook"}],
        },
    }
    create(delivery, f"{SYSTEM}/services", service)
    secret = {"metadata": {"name": "token"}, "stringData": {"token": SECRET}}
    create(delivery, "/api/v1/namespaces/hooked/secrets", secret)
    receiver = {
        "apiVersion": "notification.toolkit.fluxcd.io/v1",
        "kind": "Receiver",
        "metadata": {"name": "github"},
        "spec": {
            "type": "github",
            "events": ["ping", "push"],
            "secretRef": {"name": "token"},
            "resources": [{"kind": "GitRepository", "name": "hooked", "apiVersion": "source.toolkit.fluxcd.io/v1"}],
        },
    }
    create(delivery, RECEIVERS, receiver)
    assert until(lambda: delivery.kube.get(f"{RECEIVERS}/github").json().get("status", {}).get("webhookPath"), 30)
    path = delivery.kube.get(f"{RECEIVERS}/github").json()["status"]["webhookPath"]

    def given() -> list[Any]:
        found = delivery.kube.get(f"{SYSTEM}/services/receiver").json()
        return list(found["status"]["loadBalancer"].get("ingress") or [])

    assert until(given, 30)

    # A hook of the repository, whose ping arrives
    config = {"url": f"http://{given()[0]['ip']}{path}", "content_type": "json", "secret": SECRET}
    hook = rest(delivery, "POST", "/hooks", {"events": ["push"], "config": config})
    assert until(
        lambda: [d["status_code"] for d in rest(delivery, "GET", f"/hooks/{hook['id']}/deliveries")] == [200], 30
    )

    # And a push: nobody asks Flux for anything
    checkout.push(settings("two"))
    assert until(lambda: delivery.data(HELLO) == {"stage": "two"}, 30)
    told = rest(delivery, "GET", f"/hooks/{hook['id']}/deliveries")
    assert [(d["event"], d["status_code"]) for d in told] == [("push", 200), ("ping", 200)]
    delivery.delete("hooked")
