"""sourceControlConfigurations, GitOps with Flux v1: there are none, and none can be made any more.

az asks for the list before it makes a Flux v2 configuration. Azure made the last one on 1 January 2024 ("Application
deployments with GitOps (Flux v2)", Version support).
"""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.providers.kubernetesconfiguration.base import ClusterConfiguration
from azsandbox.arm.resources import Document, Stored


class SourceControlConfigurations(ClusterConfiguration):
    """The empty list, and refusals by name."""

    name = "sourceControlConfigurations"
    noun = "source control configuration"
    missing_text = "SourceControlConfiguration with name '{name}' not found."

    async def accept(self, call: Call, current: Stored | None) -> Document:
        self.cluster(call)
        raise errors.not_supported(
            f"{self.full_name} (Flux v1); use Microsoft.KubernetesConfiguration/fluxConfigurations"
        )
