"""A controller of Flux as a process: its reconcilers run while its Deployment has a pod, and start anew with it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.output import program_of
from azsandbox.flux import facts
from azsandbox.flux.logs import line
from azsandbox.tasks import end

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds before a reconciler that died starts again


class FluxProcess:
    """The reconcilers of one controller, with caches of their own as a process has.

    Their options name the `namespace` of the installation, the `arguments` of the controller, and the `memory` that
    they have in common: a dict.
    """

    def __init__(
        self, program: str, kinds: list[type[Controller]], client: KubeClient, options: dict[str, Any]
    ) -> None:
        self.program = program
        self.arguments: tuple[str, ...] = options["arguments"]
        account = f"system:serviceaccount:{options['namespace']}:{program}"
        self.client = client.acting_as(
            account, ("system:serviceaccounts", f"system:serviceaccounts:{options['namespace']}")
        )
        self.informers = Informers(self.client)
        self.options = options
        self.tasks = [asyncio.create_task(self._run(kind), name=f"{program} {kind.__name__}") for kind in kinds]
        self._say("starting manager")

    def _say(self, message: str) -> None:
        self.options["flux"].output.write(self.program, line("info", message, logger="setup"))

    async def _run(self, kind: type[Controller]) -> None:
        reconciler = kind(self.client, self.informers, **self.options)
        try:
            while True:
                try:
                    await reconciler.run()
                except Exception:
                    log.exception("%s ended; it starts again", reconciler.name)
                    await asyncio.sleep(PAUSE)
        finally:
            await reconciler.close()

    async def stop(self) -> None:
        await end(self.tasks)
        await self.informers.stop()


class FluxProcesses(Controller):
    """Starts and stops the controllers of Flux as their Deployments get and lose their pods.

    A Deployment is one of Flux's by its container's image, wherever it is installed.
    """

    name = "flux"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.processes: dict[str, FluxProcess] = {}
        self.deployments = informers.of("apps/v1", "deployments")
        self.follow(self.deployments)

    def program(self, deployment: Object | None) -> tuple[str, tuple[str, ...]]:
        """The controller of Flux that a Deployment runs, or empty, and the arguments that it gives it."""
        for container in containers_of(deployment):
            program = program_of(container["image"]) if "fluxcd/" in container["image"] else ""
            if program in facts.controllers():
                return program, tuple(container.get("args") or ())
        return "", ()

    def reconcilers(self, program: str) -> list[type[Controller]]:
        """What runs in the process of a controller."""
        from azsandbox.flux.reconcilers import reconcilers_of

        return reconcilers_of(program)

    async def reconcile(self, key: str) -> None:
        """Starts or stops what a Deployment stands for."""
        deployment = self.deployments.get(key)
        program, arguments = self.program(deployment)
        available = bool(deployment and (deployment.get("status") or {}).get("availableReplicas"))
        running = self.processes.get(key)
        if running is not None and not (available and (program, arguments) == (running.program, running.arguments)):
            del self.processes[key]
            await running.stop()
            running = None
        if running is None and available and program and deployment:
            namespace = deployment["metadata"]["namespace"]
            options = {**self.options, "namespace": namespace, "arguments": arguments, "memory": {}}
            self.processes[key] = FluxProcess(program, self.reconcilers(program), self.client, options)

    async def run(self) -> None:
        if "flux" not in self.options:  # whoever runs the controllers gave them no place to keep artifacts
            return
        try:
            await super().run()
        finally:
            await asyncio.gather(*(process.stop() for process in self.processes.values()), return_exceptions=True)
            self.processes.clear()


def containers_of(deployment: Object | None) -> list[Object]:
    """The containers of a Deployment."""
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"] if deployment else []
    return found
