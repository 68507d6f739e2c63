"""Clusters behind the host: reached by their own names through the proxy, as kubectl reaches AKS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from azsandbox.cluster import Cluster
from azsandbox.host import Host

FQDN = "lab-1a2b3c4d.hcp.westeurope.azmk8s.io"
VERSION = "v1.35.4"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path / "home")
    host.clusters.controllers = ()
    await host.start()
    yield host
    await host.stop()


async def kubectl(host: Host, cluster: Cluster, *arguments: str, fqdn: str = FQDN) -> tuple[int | None, str]:
    config = yaml.safe_load(cluster.kubeconfig())
    config["clusters"][0]["cluster"]["server"] = f"https://{fqdn}:443"
    file = host.home.path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        "--kubeconfig",
        str(file),
        "--cache-dir",
        str(host.home.path / "cache"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"HTTPS_PROXY": f"http://127.0.0.1:{host.proxy_port}", "NO_PROXY": "127.0.0.1,localhost"},
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


async def test_kubectl_reaches_a_cluster_by_its_name(host: Host) -> None:
    cluster = await host.clusters.create("one", VERSION, FQDN)
    assert await kubectl(host, cluster, "get", "namespace", "default", "-o", "name") == (0, "namespace/default\n")


async def test_a_cluster_that_does_not_run_is_named(host: Host) -> None:
    cluster = await host.clusters.create("one", VERSION, FQDN)
    await host.clusters.stop("one")
    status, said = await kubectl(host, cluster, "get", "namespaces")
    assert status == 1 and "Service Unavailable" in said


async def test_a_websocket_goes_through_the_proxy(host: Host) -> None:
    """kubectl exec by FQDN: the connection stays open both ways."""
    import base64
    import ssl

    cluster = await host.clusters.create("one", VERSION, FQDN)
    reader, writer = await asyncio.open_connection("127.0.0.1", host.proxy_port)
    writer.write(f"CONNECT {FQDN}:443 HTTP/1.1\r\nHost: {FQDN}:443\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    context = ssl.create_default_context(cadata=cluster.ca_pem)
    await writer.start_tls(context, server_hostname=FQDN)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        (
            "GET /api/v1/namespaces/default/pods/none/exec?command=ls&stdout=true HTTP/1.1\r\n"
            f"Host: {FQDN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n"
            f"Authorization: Bearer {cluster.admin_token}\r\n\r\n"
        ).encode()
    )
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
    assert head.split(" ")[1] in ("101", "404"), head  # switched, or the pod named as missing: the request arrived
    writer.close()


async def test_clusters_run_again_after_a_restart_on_the_same_port(tmp_path: Path) -> None:
    first = Host(tmp_path / "home")
    first.clusters.controllers = ()
    await first.start()
    port = (await first.clusters.create("one", VERSION, FQDN)).port
    await first.stop()
    second = Host(tmp_path / "home")
    second.clusters.controllers = ()
    await second.start()
    for _ in range(200):
        cluster = second.clusters.get("one")
        if cluster is not None:
            break
        await asyncio.sleep(0.02)
    assert cluster is not None and cluster.port == port
    assert await kubectl(second, cluster, "get", "namespace", "default", "-o", "name") == (0, "namespace/default\n")
    await second.stop()
