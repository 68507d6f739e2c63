"""Azure's agents as processes: each runs while its Deployment in the cluster has a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.aks.gitops import facts
from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Controller
from azsandbox.controllers.output import program_of
from azsandbox.flux.processes import FluxProcesses, images_of

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster


class AgentProcesses(FluxProcesses):
    """Starts and stops fluxconfig-agent and fluxconfig-controller."""

    name = "gitops"

    def program(self, deployment: Object | None) -> str:
        known = facts.extension()
        images = [image for image in images_of(deployment) if image.startswith(known["agentRegistry"] + "/")]
        return next((p for p in map(program_of, images) if p in known["agents"]), "")

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
