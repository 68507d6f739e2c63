"""The services that cases are played against, and playing many of them at a time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.azsandbox.processes import running
from tests.fidelity import arm, steps
from tests.fidelity.arm import ResourceManager
from tests.fidelity.cases import Case, known_differences
from tests.fidelity.compare import Outcome
from tests.fidelity.connection import Connection
from tests.fidelity.fixtures import Fixtures

AT_ONCE = 12  # most steps wait for kubectl or for a controller
HOSTS = (
    "graph.microsoft.com",
    "api.loganalytics.io",
    "vault.azure.net",
)  # beside Resource Manager, each with tokens of its own
PODS_SECONDS = 30  # for the pods of an installation to come up

Player = Callable[[Case], Outcome]


@contextlib.contextmanager
def kubernetes() -> Iterator[Player]:
    """A bare cluster."""
    with cluster() as connection:
        yield lambda case: steps.play(connection, case)


@contextlib.contextmanager
def flux() -> Iterator[Player]:
    """A bare cluster with Flux, and what it fetches from."""
    with cluster("--flux") as connection, contextlib.closing(Fixtures()) as fixtures:
        _wait_for_pods(connection, "flux-system")
        yield lambda case: steps.play(connection, case, fixtures)


@contextlib.contextmanager
def gatekeeper() -> Iterator[Player]:
    """A bare cluster with Gatekeeper."""
    with cluster("--gatekeeper") as connection:
        _wait_for_pods(connection, "gatekeeper-system")
        yield lambda case: steps.play(connection, case)


def _wait_for_pods(connection: Connection, namespace: str) -> None:
    """Waits until every Deployment of an installation has a pod."""
    until = time.monotonic() + PODS_SECONDS
    while time.monotonic() < until:
        answer = json.loads(connection.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments")[2])
        if answer["items"] and all((d.get("status") or {}).get("availableReplicas") for d in answer["items"]):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{namespace} has no pods after {PODS_SECONDS} s")


@contextlib.contextmanager
def cluster(*options: str) -> Iterator[Connection]:
    """A cluster in a process of its own, with three nodes as the recorded one had."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        command = [sys.executable, "-m", "azsandbox", "cluster", "--nodes", "3", "--kubeconfig", str(kubeconfig)]
        command += options
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"`azsandbox cluster` ended with {process.wait()}")
            time.sleep(0.5)  # nodes become ready
            yield Connection(kubeconfig)
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def resource_manager() -> Iterator[Player]:
    """A sandbox in a process of its own, at its fast speed."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "home")) as sandbox:
        tokens = {host: sandbox.token("--resource", f"https://{host}") for host in HOSTS}
        nobody = sandbox.token("--resource", "https://api.loganalytics.io", "--as", "reader")
        service = ResourceManager(sandbox.env(), sandbox.token(), tokens, nobody)
        yield lambda case: arm.play(service, case)


SERVICES = {"kubernetes": kubernetes, "flux": flux, "gatekeeper": gatekeeper, "arm": resource_manager}


class Playing:
    """Cases under way: several at a time, those that need to be alone one after the other at the end.

    A case that differs while others run is played once more when they are done: some wait a second for what a busy
    machine does in two. `again` names those.
    """

    def __init__(self, player: Player, cases: Iterable[Case]) -> None:
        self.player = player
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.again: list[str] = []
        cases = list(cases)
        self.together: dict[str, Future[Outcome]] = {
            case.id: self.pool.submit(player, case) for case in cases if not case.serial
        }

    def outcome(self, case: Case) -> Outcome:
        """Waits for the outcome of a case."""
        if not case.serial:
            first = self.together[case.id].result()
            if first.good or case.id in known_differences():
                return first
            self.again.append(case.id)
        for future in self.together.values():
            future.exception()
        return self.player(case)

    def end(self) -> None:
        self.pool.shutdown(cancel_futures=True)
