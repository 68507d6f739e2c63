"""The resource providers of the sandbox, a module or package a namespace."""

from __future__ import annotations

from azsandbox.arm.provider import Provider


def built_in() -> list[Provider]:
    """A new instance of each provider."""
    from azsandbox.arm.providers.authorization import Authorization
    from azsandbox.arm.providers.compute import Compute
    from azsandbox.arm.providers.containerregistry import ContainerRegistry
    from azsandbox.arm.providers.containerservice import ContainerService
    from azsandbox.arm.providers.features import Features
    from azsandbox.arm.providers.insights import Insights
    from azsandbox.arm.providers.keyvault import KeyVault
    from azsandbox.arm.providers.kubernetesconfiguration import KubernetesConfiguration
    from azsandbox.arm.providers.managedidentity import ManagedIdentity
    from azsandbox.arm.providers.network import Network
    from azsandbox.arm.providers.operationalinsights import OperationalInsights
    from azsandbox.arm.providers.policyinsights import PolicyInsights
    from azsandbox.arm.providers.resources import Resources
    from azsandbox.arm.providers.security import Security

    return [
        Resources(),
        Features(),
        Authorization(),
        Network(),
        ManagedIdentity(),
        OperationalInsights(),
        Insights(),
        Compute(),
        ContainerRegistry(),
        ContainerService(),
        KeyVault(),
        KubernetesConfiguration(),
        PolicyInsights(),
        Security(),
    ]
