"""Microsoft.KubernetesConfiguration: extensions of a managed cluster and what it follows by GitOps.

Flux configurations and the extension microsoft.flux have their effect in the cluster (azsandbox/aks/gitops). Other
extension types are accepted as Azure accepts them, and their operations fail by name; private link scopes and the
lists of extension types are refused by name (no type here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.arm.provider import Provider

if TYPE_CHECKING:
    from azsandbox.arm.resource_type import ResourceType
    from azsandbox.cluster import Cluster

__all__ = ["KubernetesConfiguration"]


class KubernetesConfiguration(Provider):
    """The namespace Microsoft.KubernetesConfiguration."""

    namespace = "Microsoft.KubernetesConfiguration"

    def __init__(self) -> None:
        super().__init__([])
        self.late(_types, "extensions", "fluxConfigurations", "sourceControlConfigurations")

    def prepare(self, arm: Any) -> None:
        """Adds the agents of the extension microsoft.flux to every managed cluster."""
        clusters = arm.services.clusters
        if clusters is not None:
            clusters.configure.append(lambda cluster: _attach(arm, cluster))


def _types() -> list[ResourceType]:
    from azsandbox.arm.providers.kubernetesconfiguration.extensions import Extensions
    from azsandbox.arm.providers.kubernetesconfiguration.flux_configurations import FluxConfigurations
    from azsandbox.arm.providers.kubernetesconfiguration.source_control import SourceControlConfigurations

    return [Extensions(), FluxConfigurations(), SourceControlConfigurations()]


def _attach(arm: Any, cluster: Cluster) -> None:
    from azsandbox.aks.gitops import processes

    processes.attach(arm, cluster)
