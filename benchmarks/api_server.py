"""Rates of the Kubernetes API, on a bare cluster, beside those of a real kube-apiserver."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.client import Client, connected
from benchmarks.measure import bare_cluster, memory, rate, show, show_rate

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
NAMESPACE = "/api/v1/namespaces/bench"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


def pod(name: str) -> dict[str, Any]:
    """A pod that the scheduler leaves alone."""
    container = {"name": "web", "image": "nginx:1.27", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}
    spec = {"schedulerName": "nobody", "containers": [container]}
    return {"metadata": {"name": name, "labels": {"app": "bench"}}, "spec": spec}


def config_map(name: str, value: str = "v") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}}


async def measure(kubeconfig: Path, pods: int, watches: int) -> None:
    """Prints a line a rate. `pods` is how many there are in the large list."""
    async with connected(kubeconfig) as client:
        await client.send("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
        await asyncio.sleep(1)  # until the namespace has its service account
        await objects(client)
        await lists(client, pods)
        await watched(client, watches)


async def objects(client: Client) -> None:
    """One object at a time, in every way that it is read and written."""

    def does(method: str, url: Callable[[int], str], body: Callable[[int], Any] | None = None, **headers: str) -> Work:
        async def work(number: int) -> None:
            await client.send(method, NAMESPACE + url(number), body(number) if body else None, **headers)

        return work

    create = does("POST", lambda _: "/configmaps", lambda number: config_map(f"c{number}"))
    show_rate("create ConfigMaps (16 connections)", await rate(create, 1000, 16), "976 /s")
    get = does("GET", lambda _: "/configmaps/c1")
    show_rate("GET one ConfigMap (16 connections)", await rate(get, 4000, 16), "1,957 /s")
    new_pod = does("POST", lambda _: "/pods", lambda number: pod(f"p{number:05d}"))
    show_rate("create Pods (16 connections)", await rate(new_pod, 500, 16), "357 /s")

    def each(number: int) -> str:
        return f"c{number % 4}"

    put = does(
        "PUT", lambda number: f"/configmaps/{each(number)}", lambda number: config_map(each(number), str(number))
    )
    show_rate("update (4 connections)", await rate(put, 800, 4))
    merge = does(
        "PATCH",
        lambda number: f"/configmaps/{each(number)}",
        lambda number: {"data": {"k": f"m{number}"}},
        content_type=MERGE,
    )
    show_rate("merge patch (4 connections)", await rate(merge, 800, 4), "281 /s")
    apply = does(
        "PATCH",
        lambda number: f"/configmaps/a{number % 4}?fieldManager=bench&force=true",
        lambda number: config_map(f"a{number % 4}", str(number)),
        content_type=APPLY,
    )
    show_rate("server-side apply (4 connections)", await rate(apply, 800, 4), "275 /s")


Work = Callable[[int], Awaitable[None]]


async def lists(client: Client, pods: int) -> None:
    """A page of 500, and all."""

    def listing(query: str = "", **headers: str) -> Work:
        async def work(_: int) -> None:
            await client.send("GET", f"{NAMESPACE}/pods{query}", **headers)

        return work

    show_rate("LIST 500 Pods (4 connections)", await rate(listing("?limit=500"), 100, 4), "58 /s")
    work = listing("?limit=500", accept=TABLE)
    show_rate("LIST 500 Pods as a Table (4 connections)", await rate(work, 100, 4))
    if pods <= 500:
        return

    async def more(number: int) -> None:
        await client.send("POST", f"{NAMESPACE}/pods", pod(f"p{number + 500:05d}"))

    await rate(more, pods - 500, 16)

    async def one(number: int) -> None:
        await client.send("GET", f"{NAMESPACE}/pods/p{number % 500:05d}")

    show_rate(f"GET a Pod among {pods:,} (16 connections)", await rate(one, 4000, 16), "1,062 /s")
    show_rate(f"LIST {pods:,} Pods (2 connections)", await rate(listing(), 20, 2), "3.2 /s of 5,000")
    work = listing("?resourceVersion=0", accept=TABLE)
    show_rate(f"LIST {pods:,} Pods as a Table", await rate(work, 10, 1), "7.6 /s of 5,000")


async def watched(client: Client, watches: int, changes: int = 20) -> None:
    """Watches of one object, each of which is told of every change."""
    url = f"{NAMESPACE}/configmaps?watch=true&fieldSelector=metadata.name%3Dw&resourceVersion=0"
    await client.send("POST", f"{NAMESPACE}/configmaps", config_map("w"))
    late: list[float] = []
    sent: dict[str, float] = {}
    ready = asyncio.Semaphore(0)

    async def watch() -> None:
        connection = await client.open()
        seen = 0
        async for line in connection.lines(url):
            if seen:
                late.append(time.perf_counter() - sent[line.partition(b'"k":"')[2].partition(b'"')[0].decode()])
            else:
                ready.release()
            seen += 1
            if seen > changes:
                break
        connection.writer.close()

    gate = asyncio.Semaphore(50)  # connections that are opened at a time

    async def opened() -> asyncio.Task[None]:
        async with gate:
            task = asyncio.create_task(watch())
            await ready.acquire()
            return task

    tasks = await asyncio.gather(*(opened() for _ in range(watches)))
    began = time.perf_counter()
    for number in range(changes):
        sent[str(number)] = time.perf_counter()
        await client.send("PUT", f"{NAMESPACE}/configmaps/w", config_map("w", str(number)))
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - began
    late.sort()
    found = {"rate": len(late) / seconds, "p50": late[len(late) // 2] * 1000, "p99": late[int(len(late) * 0.99)] * 1000}
    show_rate(f"events to {watches:,} watches of one object", found, "12,282 /s to 200 watches")


def run(pods: int = 5000, watches: int = 1000) -> None:
    with bare_cluster() as cluster:
        show("bare cluster, start to ready", cluster["started"] * 1000, "ms", "real 7,800 ms")
        show("memory of a bare cluster with 3 nodes", memory(cluster["pid"]), "MB", "real 478 MB")
        asyncio.run(measure(cluster["kubeconfig"], pods, watches))
        show(f"memory with {pods:,} pods", memory(cluster["pid"]), "MB")


def run_against(kubeconfig: Path, pods: int = 5000, watches: int = 1000) -> None:
    """The same rates of the server that a kubeconfig names."""
    asyncio.run(measure(kubeconfig, pods, watches))
