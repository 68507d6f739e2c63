"""The add-on's agent as a process: it runs while its Deployment in the cluster has a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.aks.policy import facts
from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Controller
from azsandbox.flux.processes import FluxProcesses, containers_of

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

PROGRAM = "azure-policy"  # the name of its account, too


class PolicyProcesses(FluxProcesses):
    """Starts and stops the agent."""

    name = "azure-policy"

    def program(self, deployment: Object | None) -> tuple[str, tuple[str, ...]]:
        image = facts.add_on()["image"]
        if any(c["image"].partition(":")[0] == image for c in containers_of(deployment)):
            return PROGRAM, ()
        return "", ()

    def reconcilers(self, program: str) -> list[type[Controller]]:
        from azsandbox.aks.policy.agent import AzurePolicyAgent

        return [AzurePolicyAgent]


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives a managed cluster what the add-on needs: a place to run, the clock of its audit, and Azure's side."""
    from azsandbox.aks.policy.plane import PolicyPlane

    id_ = str(cluster.options.get("resource_id") or "")
    if id_:
        cluster.add(PolicyProcesses, policy_plane=PolicyPlane(arm, id_))
