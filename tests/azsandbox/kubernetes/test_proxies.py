"""Programs that the sandbox acts for answer through the API server's proxies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import path
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest
from azsandbox.kubernetes.request import MASTER, Request
from azsandbox.store import Store

SERVICES, PODS = "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/pods"


async def echo(request: HttpRequest) -> HttpAnswer:
    said = f"{request.method} {request.target} {request.headers.get('authorization', '-')} ".encode() + request.body
    return HttpAnswer(418, said, {"content-type": "text/plain", "x-teapot": "yes"})


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    runtime = FluxRuntime(tmp_path)
    runtime.ports.listen("teapot", 9292, echo)
    found = Cluster(
        "test", Store(None).bucket("cluster"), "v1.35.4", all_controllers(), {"profile": "kwok", "flux": runtime}
    )
    await found.start()
    await add_nodes(found.client, 1)
    async with asyncio.timeout(10):
        while await found.client.find(path("v1", "serviceaccounts", "default", "default")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    for name, image in (("pot", "example.com/teapot:v1"), ("other", "example.com/other:v1")):
        container = {"name": "c", "image": image, "ports": [{"name": "http", "containerPort": 9292}]}
        pod = {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container]}}
        await found.client.create(path("v1", "pods", "default"), {"apiVersion": "v1", "kind": "Pod", **pod})
        ports = [{"name": "web", "port": 80, "targetPort": "http"}]
        service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}
        await found.client.create(path("v1", "services", "default"), {"apiVersion": "v1", "kind": "Service", **service})
    async with asyncio.timeout(10):
        for name in ("pot", "other"):
            endpoints = path("v1", "endpoints", "default", name)
            while not (await found.client.find(endpoints) or {}).get("subsets"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    yield found
    await found.stop()


async def ask(cluster: Cluster, method: str, url: str, body: bytes = b"", **headers: str) -> Any:
    return await cluster.server.handle(Request.to(method, url, body, headers, MASTER))


@pytest.mark.parametrize(
    "name", ["services/pot:80", "services/pot:web", "services/http:pot:80", "pods/pot:9292", "pods/pot"]
)
async def test_a_request_goes_on_without_the_api_servers_credentials(cluster: Cluster, name: str) -> None:
    url = f"/api/v1/namespaces/default/{name}/proxy/hook/a%20b?x=1&y=%26"
    answer = await ask(cluster, "POST", url, b"body", authorization="Bearer t")
    assert answer.status == 418
    assert answer.body == b"POST /hook/a%20b?x=1&y=%26 - body"
    assert (answer.content_type, answer.headers["x-teapot"]) == ("text/plain", "yes")


async def test_a_proxy_without_a_path_is_sent_to_its_root(cluster: Cluster) -> None:
    answer = await ask(cluster, "GET", f"{SERVICES}/pot:80/proxy?x=1")
    assert (answer.status, answer.headers["location"]) == (301, f"{SERVICES}/pot:80/proxy/?x=1")
    assert (await ask(cluster, "GET", f"{SERVICES}/pot:80/proxy/")).body == b"GET / - "


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"{SERVICES}/other:80/proxy/", "services other:80: pods of this cluster are simulated and listen on no port"),
        (f"{PODS}/pot:80/proxy/", "pods pot:80: pods of this cluster are simulated and listen on no port"),
        (f"{SERVICES}/pot:81/proxy/", 'no service port 81 found for service "pot"'),
        (f"{SERVICES}/pot/proxy/", 'no endpoints available for service "pot"'),
    ],
)
async def test_where_nothing_listens_the_proxy_says_so(cluster: Cluster, url: str, text: str) -> None:
    answer = await ask(cluster, "GET", url)
    assert answer.status == 503 and text in json.loads(answer.body)["message"]
