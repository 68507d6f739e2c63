"""Azure's agents as processes: each runs while its Deployment in the cluster has a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.aks.gitops import facts
from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Controller
from azsandbox.controllers.output import program_of
from azsandbox.flux.processes import FluxProcesses, containers_of

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster


class AgentProcesses(FluxProcesses):
    """Starts and stops fluxconfig-agent and fluxconfig-controller."""

    name = "gitops"

    def program(self, deployment: Object | None) -> tuple[str, tuple[str, ...]]:
        known = facts.extension()
        for container in containers_of(deployment):
            program = program_of(container["image"])
            if container["image"].startswith(known["agentRegistry"] + "/") and program in known["agents"]:
                return program, ()
        return "", ()

    def reconcilers(self, program: str) -> list[type[Controller]]:
        from azsandbox.aks.gitops.agent import FluxConfigAgent
        from azsandbox.aks.gitops.controller import FluxConfigController

        return [FluxConfigAgent if program == FluxConfigAgent.name else FluxConfigController]


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives a managed cluster what its agents need: a place to run, and Azure's data plane."""
    from azsandbox.arm.providers.kubernetesconfiguration.data_plane import DataPlane

    id_ = str(cluster.options.get("resource_id") or "")
    if id_:
        cluster.add(AgentProcesses, data_plane=DataPlane(arm, id_))
