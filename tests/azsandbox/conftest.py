"""A bare cluster in a process of its own, one for all tests that drive it from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azsandbox.kubectl import Kubectl


@pytest.fixture(scope="session")
def bare_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of `azsandbox cluster --nodes 3`."""
    folder = tmp_path_factory.mktemp("cluster")
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "azsandbox", "cluster", "--nodes", "3", "--kubeconfig", str(kubeconfig)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while "is up" not in (folder / "log").read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the cluster does not come up: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield kubeconfig
    finally:
        process.terminate()
        process.wait(10)


_namespaces = iter(range(1, 10_000))


@pytest.fixture
def kubectl(bare_cluster: Path, tmp_path: Path) -> Kubectl:
    """kubectl in a new namespace of the cluster."""
    found = Kubectl(bare_cluster, f"test-{next(_namespaces)}", tmp_path)
    found("create", "namespace", found.namespace)
    found.until("get", "serviceaccount", "default")
    return found
