"""What comes to the public address of a Service reaches the program behind it: requests by the proxy, and web hooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from azsandbox.clock import Clock
from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import path
from azsandbox.dispatch import Dispatch
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.git.git_host import GitHost
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest
from azsandbox.public_addresses import PublicAddresses
from azsandbox.store import Store

ADDRESS = "20.1.2.1"


@pytest.fixture
async def got() -> list[HttpRequest]:
    return []


@pytest.fixture
async def dispatch(tmp_path: Path, got: list[HttpRequest]) -> AsyncIterator[Dispatch]:
    """A cluster with a program behind a public address, and one with nothing behind."""

    async def program(request: HttpRequest) -> HttpAnswer:
        got.append(request)
        return HttpAnswer(202, b"taken", {"content-type": "text/plain", "x-said": "yes"})

    runtime = FluxRuntime(tmp_path / "flux")
    runtime.ports.listen("teapot", 9292, program)
    options = {"profile": "kwok", "flux": runtime, "load_balancer_ranges": {"public": "20.1.2.0/24"}}
    cluster = Cluster("test", Store(None).bucket("cluster"), "v1.35.4", all_controllers(), options)
    await cluster.start()
    await add_nodes(cluster.client, 1)
    found = Dispatch()
    found.ask(PublicAddresses(lambda: [cluster]).find)
    async with asyncio.timeout(30):
        while await cluster.client.find(path("v1", "serviceaccounts", "default", "default")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for name, image in (("pot", "example.com/teapot:v1"), ("other", "example.com/other:v1")):
            container = {"name": "c", "image": image, "ports": [{"containerPort": 9292}]}
            pod = {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container]}}
            await cluster.client.create(path("v1", "pods", "default"), {"apiVersion": "v1", "kind": "Pod", **pod})
            ports = [{"port": 80, "targetPort": 9292}]
            spec = {"type": "LoadBalancer", "selector": {"app": name}, "ports": ports}
            service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
            await cluster.client.create(path("v1", "services", "default"), service)
            endpoints = path("v1", "endpoints", "default", name)
            while not (await cluster.client.find(endpoints) or {}).get("subsets"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            while found.owner("20.1.2.1" if name == "pot" else "20.1.2.2") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    yield found
    await cluster.stop()


def client(dispatch: Dispatch) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(dispatch))


async def test_a_request_reaches_the_program_unchanged(dispatch: Dispatch, got: list[HttpRequest]) -> None:
    async with client(dispatch) as asking:
        url = f"http://{ADDRESS}/hook/a%20b?x=1"
        answer = await asking.post(url, content=b"body", headers={"x-hub-signature-256": "sha256=1"})
    assert (answer.status_code, answer.text, answer.headers["x-said"]) == (202, "taken", "yes")
    assert (got[0].method, got[0].target, got[0].body) == ("POST", "/hook/a%20b?x=1", b"body")
    assert got[0].headers["x-hub-signature-256"] == "sha256=1"


async def test_where_nothing_listens_it_is_said(dispatch: Dispatch) -> None:
    async with client(dispatch) as asking:
        answer = await asking.get("http://20.1.2.2/")
        assert answer.status_code == 503 and "pods of this cluster are simulated" in answer.text
        answer = await asking.get(f"http://{ADDRESS}:81/")
        assert answer.status_code == 503 and "no service port 81" in answer.text


async def test_an_address_that_no_service_has_is_nobodys(dispatch: Dispatch) -> None:
    assert dispatch.owner("20.1.2.3") is None and dispatch.owner("example.com") is None


async def test_a_web_hook_reaches_a_program_in_a_cluster(
    dispatch: Dispatch, got: list[HttpRequest], tmp_path: Path
) -> None:
    host = GitHost(tmp_path / "git", Store(None).bucket("git"), Clock(), b"secret", dispatch)
    dispatch.serve("api.github.com", host.app)
    async with client(dispatch) as asking:
        asking.headers["authorization"] = f"token {host.tokens.default('lena')}"
        await asking.post("https://api.github.com/orgs/contoso/repos", json={"name": "gitops", "auto_init": True})
        config = {"url": f"http://{ADDRESS}/hook/abc", "content_type": "json", "secret": "s"}
        hooks = "https://api.github.com/repos/contoso/gitops/hooks"
        made = (await asking.post(hooks, json={"config": config})).json()
        async with asyncio.timeout(20):
            while not (await asking.get(f"{hooks}/{made['id']}/deliveries")).json():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (delivery,) = (await asking.get(f"{hooks}/{made['id']}/deliveries")).json()
    assert (delivery["event"], delivery["status_code"]) == ("ping", 202)
    assert got[0].target == "/hook/abc" and json.loads(got[0].body)["hook_id"] == made["id"]
    assert got[0].headers["x-hub-signature-256"].startswith("sha256=")
    await host.close()
