"""From a controller's event to what a Provider posts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azsandbox.controllers.client import MERGE, path
from azsandbox.flux.notification.event_server import API_VERSION, EventServer
from azsandbox.flux.notification.providers import Alerts, Providers
from azsandbox.kubernetes.program_http import HttpRequest
from tests.azsandbox.flux.conftest import Flux
from tests.azsandbox.flux.notification.events import KUSTOMIZE, SHA, event
from tests.azsandbox.flux.web import Web

FAILED = "NotificationDispatchFailed"
ABOUT = "Kustomization/apps/web"


async def watch(flux: Flux, hooks: Web, alert: dict[str, Any] | None = None, **provider: Any) -> EventServer:
    """Provider `hook` and Alert `all`, with the event server running."""
    spec = {"type": "generic", "address": f"{hooks.url}/hook", **provider}
    await flux.make(API_VERSION, "providers", "hook", spec)
    sources = {"eventSources": [{"kind": "Kustomization", "name": "*"}]}
    await flux.make(API_VERSION, "alerts", "all", {"providerRef": {"name": "hook"}, **sources, **(alert or {})})
    (server,) = await flux.run(EventServer)
    assert isinstance(server, EventServer)
    return server


async def test_an_event_reaches_the_provider_of_its_alert_once(flux: Flux, hooks: Web) -> None:
    await watch(flux, hooks, {"eventMetadata": {"region": "north"}})
    for _ in range(2):
        await flux.runtime.notifications.post(event())
    await flux.runtime.notifications.post(event("second"))
    first, second = await hooks.until(2)
    assert first.json["metadata"] == {"region": "north", "revision": f"main@sha1:{SHA}"}
    assert second.json["message"] == "second"


async def test_the_address_headers_and_token_of_a_secret_are_used(flux: Flux, hooks: Web) -> None:
    held = {"address": f"{hooks.url}/secret", "headers": "X-Team: web\n", "token": "key"}
    await flux.make("v1", "secrets", "held", held)
    await watch(flux, hooks, type="generic-hmac", secretRef={"name": "held"}, address="http://127.0.0.1:9/")
    await flux.runtime.notifications.post(event())
    (asked,) = await hooks.until(1)
    assert (asked.target, asked.headers["x-team"]) == ("/secret", "web")
    assert asked.headers["x-signature"].startswith("sha256=")


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        (
            {"secretRef": {"name": "none"}},
            "failed to initialize notifier for provider 'hook': failed to get secret 'apps/none': "
            'secrets "none" not found',
        ),
        (
            {"address": "a.example"},
            "failed to initialize notifier for provider 'hook': failed to initialize notifier: invalid hook URL "
            'a.example: parse "a.example": invalid URI for request',
        ),
        (
            {"certSecretRef": {"name": "held"}},
            "failed to initialize notifier for provider 'hook': failed to get TLS config: secret 'apps/held' must "
            "contain either 'ca.crt' or both 'tls.crt' and 'tls.key'",
        ),
        (
            {"proxySecretRef": {"name": "held"}},
            "failed to initialize notifier for provider 'hook': failed to get proxy URL: secret 'apps/held': "
            "key 'address' not found",
        ),
        (
            {"serviceAccountName": "x"},
            "to use spec.serviceAccountName for provider authentication please enable the "
            "ObjectLevelWorkloadIdentity feature gate in the controller",
        ),
        (
            {"type": "nats"},
            "failed to initialize notifier for provider 'hook': failed to initialize notifier: NotSupportedInSandbox: "
            "Providers of type 'nats', since the sandbox does not speak the protocol of NATS; use type 'generic' to "
            "see the events",
        ),
    ],
)
async def test_what_keeps_an_event_from_being_sent_is_told_on_the_alert(
    flux: Flux, hooks: Web, provider: dict[str, Any], message: str
) -> None:
    await flux.make("v1", "secrets", "held", {"other": "x"})
    await watch(flux, hooks, **provider)
    await flux.runtime.notifications.post(event())
    wanted = f"failed to dispatch notification for {ABOUT}: {message}"
    assert await flux.events("Alert", "all") == [("Warning", FAILED, wanted)]


async def test_an_alert_without_its_provider_says_so(flux: Flux) -> None:
    spec = {"providerRef": {"name": "hook"}, "eventSources": [{"kind": "Kustomization", "name": "*"}]}
    await flux.make(API_VERSION, "alerts", "all", spec)
    await flux.run(EventServer)
    await flux.runtime.notifications.post(event())
    missing = 'failed to read provider: Provider.notification.toolkit.fluxcd.io "hook" not found'
    wanted = f"failed to dispatch notification for {ABOUT}: {missing}"
    assert await flux.events("Alert", "all") == [("Warning", FAILED, wanted)]


async def test_a_token_never_shows_in_what_is_told(flux: Flux, hooks: Web) -> None:
    hooks.answer = lambda asked: (403, b"token s3cret is not known")
    await flux.make("v1", "secrets", "held", {"token": "s3cret"})
    await watch(flux, hooks, secretRef={"name": "held"})
    await flux.runtime.notifications.post(event())
    ((_, _, message),) = await flux.events("Alert", "all")
    assert message == (
        f"failed to send notification for {ABOUT}: postMessage failed: request failed: request failed with status "
        "code 403: token ***** is not known"
    )
    log = [text for _, text in flux.runtime.output._lines["notification-controller"]]
    assert log and not any("s3cret" in text for text in log)


async def test_a_suspended_provider_gets_nothing(flux: Flux, hooks: Web) -> None:
    server = await watch(flux, hooks, suspend=True)
    await flux.runtime.notifications.post(event())
    await flux.logged("notification-controller", "dispatching event")
    await flux.client.patch(path(API_VERSION, "providers", "apps", "hook"), {"spec": {"suspend": False}}, MERGE)
    await server.providers.until(lambda: not server.providers.objects["apps/hook"]["spec"]["suspend"])
    await flux.runtime.notifications.post(event("later"))
    assert [asked.json["message"] for asked in await hooks.until(1)] == ["later"]


async def test_a_commits_status_is_set_for_what_concerns_a_commit_alone(flux: Flux, hooks: Web) -> None:
    hooks.answer = lambda asked: (200, [])
    await flux.make("v1", "secrets", "held", {"token": "t"})
    expression = "event.involvedObject.name + '/' + alert.metadata.name"
    github = {"type": "github", "address": f"{hooks.url}/org/app", "commitStatusExpr": expression}
    await watch(flux, hooks, secretRef={"name": "held"}, **github)
    revision = {f"{KUSTOMIZE}/revision": f"main@sha1:{SHA}"}
    await flux.runtime.notifications.post(event("no commit's"))
    status = {**revision, f"{KUSTOMIZE}/commit_status": "update"}
    await flux.runtime.notifications.post(event("a commit's", metadata=status))
    asked = await hooks.until(2)
    assert [a.method for a in asked] == ["GET", "POST"]
    assert asked[1].json["context"] == "web/all"


async def test_labels_of_the_object_are_read_from_the_cluster(flux: Flux, hooks: Web) -> None:
    sources = [{"kind": "Kustomization", "name": "*", "matchLabels": {"team": "web"}}]
    await watch(flux, hooks, {"eventSources": sources})
    await flux.runtime.notifications.post(event("before it is there"))
    assert (await flux.events("Alert", "all"))[0][1:] == ("SourceFetchFailed", f"error getting source object {ABOUT}")
    spec = {"interval": "10m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "fleet"}}
    await flux.make(f"{KUSTOMIZE}/v1", "kustomizations", "web", spec, labels={"team": "web"})
    await flux.runtime.notifications.post(event())
    assert len(await hooks.until(1)) == 1


async def test_events_of_other_namespaces_are_refused_where_the_controller_is_told_so(flux: Flux, hooks: Web) -> None:
    await flux.make(API_VERSION, "providers", "hook", {"type": "generic", "address": hooks.url})
    sources = [{"kind": "Kustomization", "name": "*", "namespace": "other"}]
    await flux.make(API_VERSION, "alerts", "all", {"providerRef": {"name": "hook"}, "eventSources": sources})
    await flux.run(EventServer, arguments=("--no-cross-namespace-refs",))
    other = event()
    other["involvedObject"]["namespace"] = "other"
    await flux.runtime.notifications.post(other)
    ((_, reason, message),) = await flux.events("Alert", "all")
    assert reason == FAILED and message.endswith("cross-namespace references have been blocked")


async def test_a_provider_gets_a_finalizer_and_an_alert_loses_it(flux: Flux) -> None:
    await flux.run(Providers, Alerts)
    await flux.make(API_VERSION, "providers", "hook", {"type": "generic"})
    url = path(API_VERSION, "providers", "apps", "hook")
    await flux.until(url, lambda found: found["metadata"].get("finalizers") == ["finalizers.fluxcd.io"])
    await flux.client.delete(url)
    spec = {"providerRef": {"name": "hook"}, "eventSources": [{"kind": "Kustomization", "name": "*"}]}
    await flux.make(API_VERSION, "alerts", "all", spec, finalizers=["finalizers.fluxcd.io"])
    await flux.until(path(API_VERSION, "alerts", "apps", "all"), lambda found: "finalizers" not in found["metadata"])
    assert await flux.client.find(url) is None


async def test_events_that_are_posted_over_http_are_sent_too(flux: Flux, hooks: Web) -> None:
    await watch(flux, hooks)
    pod = {"spec": {"containers": [{"image": "ghcr.io/fluxcd/notification-controller:v1"}]}}
    answer = flux.runtime.ports.of(pod, 9090)
    assert answer
    body = json.dumps(event()).encode()
    assert (await answer(HttpRequest("POST", "/", {}, body))).status == 202
    again = await answer(HttpRequest("POST", "/", {}, body))
    assert (again.status, again.body) == (429, b"Too Many Requests\n")
    for bad in (b"{", b"[]", b'{"message": 1}', b'{"metadata": []}', b'{"metadata": {"a": 1}}'):
        assert (await answer(HttpRequest("POST", "/", {}, bad))).status == 400, bad
    assert (await answer(HttpRequest("POST", "/", {}, b"null"))).status == 202  # about nothing, and so for no Alert
    await flux.logged("notification-controller", "discarding event, no alerts found for the involved object")
    (asked,) = await hooks.until(1)
    assert asked.json["involvedObject"]["name"] == "web"
