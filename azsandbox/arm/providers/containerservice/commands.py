"""runCommand: kubectl against the cluster, and managedClusters/commandResults with what came of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from azsandbox import programs
from azsandbox.aks import control_plane, facts
from azsandbox.arm import polling
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Work
from azsandbox.arm.providers.containerservice.base import AksType
from azsandbox.arm.providers.containerservice.errors import not_supported
from azsandbox.arm.resources import Document, Stored, timestamp

TIMEOUT = 60.0  # seconds that a command may run


def seconds() -> float:
    """How long Azure takes to run a command."""
    return float(facts.read("durations")["command"])


def document(id_: str, arm: Any) -> Document:
    """A result that is being made."""
    return {
        "id": id_.rsplit("/", 1)[-1],
        "properties": {"provisioningState": "Running", "startedAt": timestamp(arm.services.clock)},
    }


class CommandResults(AksType):
    """Results of commands, at the address that runCommand named."""

    name = "managedClusters/commandResults"
    has_state = False

    async def get(self, call: Call) -> Answer:
        stored = call.current
        if stored is None:
            raise self.not_found(call)
        if stored.properties["provisioningState"] == "Running":
            return Answer(202, stored.body, {"Location": call.full_url, **polling.delay(call.arm, 5)})
        return Answer(200, stored.body)

    async def list(self, call: Call) -> Answer:
        raise not_supported("the list of command results")

    async def put(self, call: Call) -> Answer:
        raise not_supported("PUT of a command result")

    async def perform(self, work: Work) -> None:
        stored = work.resource
        cluster_id = stored.resource_id.parent if stored else None
        cluster = work.arm.resources.get(cluster_id) if cluster_id else None
        if stored is None or cluster is None:
            return
        code, logs = await self._run(work.arm, cluster, stored.private["argv"], stored.private.get("token", ""))
        await work.wait()
        latest = work.resource
        if latest is not None:
            latest.private.pop("token", None)
            finished = timestamp(work.services.clock)
            latest.properties.update(provisioningState="Succeeded", exitCode=code, logs=logs, finishedAt=finished)
            work.arm.resources.put(latest)

    def ended(self, work: Work) -> None:
        """A command that could not be run has failed."""
        stored = work.resource
        if stored is not None and work.operation.status != "Succeeded":
            stored.private.pop("token", None)
            stored.properties["provisioningState"] = "Failed"
            work.arm.resources.put(stored)

    async def result(self, call: Call, operation: Operation) -> Answer:
        return await super().result(call, operation)

    async def _run(self, arm: Any, cluster: Stored, argv: Sequence[str], token: str) -> tuple[int, str]:
        """Exit code and output of a command, run with a token of Entra ID, or as the administrator without one."""
        running = control_plane.running(arm, cluster)
        program = shutil.which("kubectl")
        if running is None or program is None:
            return 127, "kubectl: command not found\n" if program is None else "the control plane is not running\n"
        with tempfile.TemporaryDirectory(prefix="azsandbox-command-") as folder:
            config = Path(folder) / "config"
            config.touch(mode=0o600)
            config.write_text(running.kubeconfig(token=token))
            # Nothing of whoever started the sandbox: no secrets, editors, plug-ins of kubectl's settings or proxies
            env = {
                "PATH": os.environ.get("PATH", os.defpath),
                "KUBECONFIG": str(config),
                "HOME": folder,
                "TMPDIR": folder,
            }
            try:
                async with asyncio.timeout(TIMEOUT):
                    status, out, _ = await programs.run(program, *argv[1:], env=env, cwd=folder, joined=True)
            except TimeoutError:
                return 124, f"command did not end in {TIMEOUT:.0f} s\n"
        return status, out.decode("utf-8", "replace")
