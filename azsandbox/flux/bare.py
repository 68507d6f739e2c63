"""`azsandbox cluster --flux`: a bare cluster with Flux installed, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

from azsandbox.certificates import Authority
from azsandbox.cluster import DEFAULT_VERSION, Cluster, add_nodes, all_controllers, write_private
from azsandbox.controllers.informer import Informers
from azsandbox.flux.installation import install
from azsandbox.store import Store


async def run_bare(nodes: int, kubeconfig: Path, port: int = 0, ready: asyncio.Event | None = None) -> None:
    """As `azsandbox.cluster.run_bare`, with Flux: until cancelled, state in memory."""
    with tempfile.TemporaryDirectory(prefix="azsandbox-") as home:
        bucket = Store(None).bucket("cluster")
        authority = Authority(Path(home))
        cluster = Cluster("sandbox", bucket, DEFAULT_VERSION, all_controllers(), {"profile": "kwok"}, authority)
        await cluster.start(port=port)
        informers = Informers(cluster.client)
        tasks: list[asyncio.Task[None]] = []
        try:
            await add_nodes(cluster.client, nodes)
            await install(cluster.client)
            tasks = _reconcilers(cluster, informers, Path(home))
            write_private(kubeconfig, cluster.kubeconfig())
            if ready:
                ready.set()
            await asyncio.Event().wait()
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 3)
            await informers.stop()
            await cluster.stop()


def _reconcilers(cluster: Cluster, informers: Informers, home: Path) -> list[asyncio.Task[None]]:
    from azsandbox.flux.reconcilers import RECONCILERS

    found = [kind(cluster.client, informers, home=home) for kind in RECONCILERS]
    return [asyncio.create_task(one.run(), name=one.name) for one in found]
