"""Rates of the Kubernetes API, on a bare cluster, beside those of a real kube-apiserver."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from benchmarks.measure import bare_cluster, kubernetes, memory, rate, show, show_rate

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
NAMESPACE = "/api/v1/namespaces/bench"


def pod(name: str) -> dict[str, Any]:
    """A pod that the scheduler leaves alone."""
    container = {"name": "web", "image": "nginx:1.27", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}
    spec = {"schedulerName": "nobody", "containers": [container]}
    return {"metadata": {"name": name, "labels": {"app": "bench"}}, "spec": spec}


async def send(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
    answer = await client.request(method, url, **options)
    answer.raise_for_status()
    return answer


async def measure(kubeconfig: Any, pods: int) -> None:
    """Prints a line a rate. `pods` is how many there are in the large list."""
    async with kubernetes(kubeconfig) as client:
        await send(client, "POST", "/api/v1/namespaces", json={"metadata": {"name": "bench"}})
        await asyncio.sleep(0.5)  # until the namespace has its service account

        async def create_map(number: int) -> None:
            await send(
                client, "POST", f"{NAMESPACE}/configmaps", json={"metadata": {"name": f"c{number}"}, "data": {"k": "v"}}
            )

        show_rate("create ConfigMaps (16 connections)", await rate(create_map, 500, 16), "976 /s")

        async def get_map(number: int) -> None:
            await send(client, "GET", f"{NAMESPACE}/configmaps/c1")

        show_rate("GET one ConfigMap (16 connections)", await rate(get_map, 2000, 16), "1,957 /s")

        async def create_pod(number: int) -> None:
            await send(client, "POST", f"{NAMESPACE}/pods", json=pod(f"p{number:05d}"))

        show_rate("create Pods (16 connections)", await rate(create_pod, 500, 16), "357 /s")

        async def merge(number: int) -> None:
            headers = {"content-type": "application/merge-patch+json"}
            await send(
                client,
                "PATCH",
                f"{NAMESPACE}/configmaps/c{number % 4}",
                json={"data": {"k": str(number)}},
                headers=headers,
            )

        show_rate("merge patch (4 connections)", await rate(merge, 300, 4), "281 /s")

        async def apply(number: int) -> None:
            headers = {"content-type": "application/apply-patch+yaml"}
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"a{number % 4}"},
                "data": {"k": str(number)},
            }
            url = f"{NAMESPACE}/configmaps/a{number % 4}?fieldManager=bench&force=true"
            await send(client, "PATCH", url, json=body, headers=headers)

        show_rate("server-side apply (4 connections)", await rate(apply, 300, 4), "275 /s")

        async def list_pods(number: int) -> None:
            await send(client, "GET", f"{NAMESPACE}/pods?limit=500")

        show_rate("LIST 500 Pods (4 connections)", await rate(list_pods, 60, 4), "58 /s")
        if pods > 500:
            await rate(lambda number: create_pod(number + 500), pods - 500, 16)
            show_rate(
                f"LIST {pods:,} Pods", await rate(lambda _: send(client, "GET", f"{NAMESPACE}/pods"), 10, 2), "3.2 /s"
            )
            table = {"accept": TABLE}
            work = lambda _: send(client, "GET", f"{NAMESPACE}/pods?resourceVersion=0", headers=table)  # noqa: E731
            show_rate(f"LIST {pods:,} Pods as a Table (real: of 5,000)", await rate(work, 5, 1), "7.6 /s")


def run(pods: int = 5000) -> None:
    with bare_cluster() as cluster:
        show("bare cluster, start to ready", cluster["started"] * 1000, "ms", "real 7,800 ms")
        show("memory of a bare cluster with 3 nodes", memory(cluster["pid"]), "MB", "real 478 MB")
        asyncio.run(measure(cluster["kubeconfig"], pods))
        show(f"memory with {pods:,} pods", memory(cluster["pid"]), "MB")
