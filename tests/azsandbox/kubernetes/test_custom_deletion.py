"""A CustomResourceDefinition ends after its objects: it is Terminating, and waits for their finalizers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.request import MASTER, Request
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Bucket, Store

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


async def ask(server: ApiServer, method: str, url: str, body: Any = None, media: str = "application/json") -> Any:
    """Status and body of an answer."""
    sent = b"" if body is None else json.dumps(body).encode()
    request = Request.to(method, url, sent, {"content-type": media, "user-agent": "test"}, MASTER)
    answer = await server.handle(request)
    found = answer.body if isinstance(answer.body, dict) else answer.body.decode()
    return answer.status, json.loads(found) if isinstance(found, str) and found.startswith("{") else found


async def started(bucket: Bucket) -> ApiServer:
    server = ApiServer(bucket)
    bootstrap.fill(server)
    await server.custom.start()
    return server


async def until(server: ApiServer, url: str, status: int) -> None:
    for _ in range(100):
        if (await ask(server, "GET", url))[0] == status:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{url} is not {status}")


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await started(Store(None).bucket("cluster"))
    await ask(server, "POST", DEFINITIONS, DEFINITION)
    await until(server, WIDGETS, 200)
    yield server
    await server.custom.stop()


def widget(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, **metadata}}


async def test_a_definition_that_is_deleted_shows_that_it_is_terminating(server: ApiServer) -> None:
    status, crd = await ask(server, "DELETE", f"{DEFINITIONS}/widgets.example.com")
    assert (status, crd["kind"]) == (200, "CustomResourceDefinition")
    assert crd["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    condition = next(c for c in crd["status"]["conditions"] if c["type"] == "Terminating")
    assert (condition["status"], condition["reason"]) == ("True", "InstanceDeletionPending")
    await until(server, f"{DEFINITIONS}/widgets.example.com", 404)
    await until(server, WIDGETS, 404)


async def test_a_definition_waits_for_the_finalizers_of_its_objects(server: ApiServer) -> None:
    await ask(server, "POST", WIDGETS, widget("held", finalizers=["example.com/hold"]))
    await ask(server, "POST", WIDGETS, widget("free"))
    await ask(server, "DELETE", f"{DEFINITIONS}/widgets.example.com")
    await until(server, f"{WIDGETS}/free", 404)
    _, held = await ask(server, "GET", f"{WIDGETS}/held")
    assert held["metadata"]["deletionTimestamp"]
    status, refused = await ask(server, "POST", WIDGETS, widget("late"))
    assert status == 403
    assert refused["message"].endswith("create not allowed while custom resource definition is terminating")
    body = {"metadata": {"finalizers": None}}
    await ask(server, "PATCH", f"{WIDGETS}/held", body, "application/merge-patch+json")
    await until(server, f"{DEFINITIONS}/widgets.example.com", 404)


async def test_a_restart_goes_on_with_a_definition_that_was_terminating() -> None:
    bucket = Store(None).bucket("cluster")
    first = await started(bucket)
    await ask(first, "POST", DEFINITIONS, DEFINITION)
    await until(first, WIDGETS, 200)
    await ask(first, "POST", WIDGETS, widget("free"))
    await first.custom.stop()
    await ask(first, "DELETE", f"{DEFINITIONS}/widgets.example.com")
    second = await started(bucket)
    await until(second, f"{DEFINITIONS}/widgets.example.com", 404)
    await second.custom.stop()


async def test_a_limit_that_is_no_number_is_refused(server: ApiServer) -> None:
    for name in ("limit", "timeoutSeconds"):
        status, refused = await ask(server, "GET", f"/api/v1/configmaps?{name}=ten")
        assert (status, refused["message"]) == (400, 'strconv.ParseInt: parsing "ten": invalid syntax')


async def test_who_deletes_a_job_without_a_policy_is_warned_that_its_pods_stay(server: ApiServer) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    await ask(server, "POST", jobs, job)
    silent = Request.to("DELETE", f"{jobs}/j?dryRun=All&propagationPolicy=Background", user=MASTER)
    assert not (await server.handle(silent)).warnings
    warned = await server.handle(Request.to("DELETE", f"{jobs}/j", user=MASTER))
    assert [text.partition(";")[0] for text in warned.warnings] == [
        "child pods are preserved by default when jobs are deleted"
    ]


async def test_a_review_cannot_be_named_in_a_path(server: ApiServer) -> None:
    assert (await ask(server, "GET", "/apis/authentication.k8s.io/v1/tokenreviews/x"))[0] == 404
    assert (await ask(server, "GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"))[0] == 405
