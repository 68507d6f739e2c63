"""Microsoft.KubernetesConfiguration: extensions of a managed cluster and what it follows by GitOps.

Flux configurations and the extension microsoft.flux have their effect in the cluster (azsandbox/aks/gitops). Other
extension types are accepted as Azure accepts them, and their operations fail by name; private link scopes and the
lists of extension types are refused by name (no type here).
"""

from __future__ import annotations

from typing import Any

from azsandbox.arm.provider import Provider

__all__ = ["KubernetesConfiguration"]


class KubernetesConfiguration(Provider):
    """The namespace Microsoft.KubernetesConfiguration."""

    namespace = "Microsoft.KubernetesConfiguration"

    def __init__(self) -> None:
        from azsandbox.arm.providers.kubernetesconfiguration.extensions import Extensions
        from azsandbox.arm.providers.kubernetesconfiguration.flux_configurations import FluxConfigurations
        from azsandbox.arm.providers.kubernetesconfiguration.source_control import SourceControlConfigurations

        super().__init__([Extensions(), FluxConfigurations(), SourceControlConfigurations()])

    def prepare(self, arm: Any) -> None:
        """Adds the agents of the extension microsoft.flux to every managed cluster."""
        from azsandbox.aks.gitops import processes

        clusters = arm.services.clusters
        if clusters is not None:
            clusters.configure.append(lambda cluster: processes.attach(arm, cluster))
