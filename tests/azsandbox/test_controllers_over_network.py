"""The sandbox's controllers as clients of an API server in another process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.transports import Network


def start(*arguments: str) -> subprocess.Popen[str]:
    """Starts a command that stays, and waits until it says that it works."""
    process = subprocess.Popen([sys.executable, "-m", "azsandbox", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline(), f"{arguments} ended with {process.wait()}"
    return process


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """An API server with two nodes and no controllers."""
    file = tmp_path / "kubeconfig"
    process = start("cluster", "--no-controllers", "--nodes", "2", "--kubeconfig", str(file))
    yield file
    process.terminate()
    process.wait(20)


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        },
    },
}


async def test_a_deployment_becomes_ready_once_controllers_come_over_the_network(kubeconfig: Path) -> None:
    client = KubeClient(Network(kubeconfig))
    deployments = path("apps/v1", "deployments", "default")
    await client.create(deployments, DEPLOYMENT)
    await asyncio.sleep(1)
    assert not (await client.get(f"{deployments}/web")).get("status"), "something works in a cluster of no controllers"
    controllers = await asyncio.to_thread(start, "controllers", "--profile", "kwok", "--kubeconfig", str(kubeconfig))
    try:
        until = time.monotonic() + 30
        status = {}
        while status.get("readyReplicas") != 2 and time.monotonic() < until:
            await asyncio.sleep(0.1)
            status = (await client.get(f"{deployments}/web")).get("status") or {}
        assert status.get("readyReplicas") == 2, status
        pods = await client.list(path("v1", "pods", "default"))
        assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    finally:
        controllers.terminate()
        controllers.wait(20)
        await client.close()
    assert controllers.returncode == 0


def test_a_kubeconfig_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "azsandbox", "controllers", "--kubeconfig", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "is no kubeconfig that can be used" in done.stderr
