"""The SDK's clients for one subscription, each made when it is first used: their import is slow."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.mgmt.authorization import AuthorizationManagementClient
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient
    from azure.mgmt.containerservice import ContainerServiceClient
    from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
    from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
        KubernetesConfigurationFluxConfigurationsMgmtClient,
    )
    from azure.mgmt.loganalytics import LogAnalyticsManagementClient
    from azure.mgmt.monitor import MonitorManagementClient
    from azure.mgmt.network import NetworkManagementClient
    from azure.mgmt.resource.policy import PolicyClient
    from azure.mgmt.resource.resources import ResourceManagementClient


class Clients:
    """Management clients as Azure's documentation makes them: DefaultAzureCredential and a subscription."""

    def __init__(self, subscription_id: str, object_id: str = "", credential: Any = None) -> None:
        self.subscription_id = subscription_id
        self.object_id = object_id
        self._credential = credential

    @cached_property
    def credential(self) -> Any:
        """What signs in, for all clients."""
        if self._credential is not None:
            return self._credential
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    @cached_property
    def resources(self) -> ResourceManagementClient:
        """Resource groups, and resources of any type."""
        from azure.mgmt.resource.resources import ResourceManagementClient

        return ResourceManagementClient(self.credential, self.subscription_id)

    @cached_property
    def network(self) -> NetworkManagementClient:
        """Virtual networks and subnets."""
        from azure.mgmt.network import NetworkManagementClient

        return NetworkManagementClient(self.credential, self.subscription_id)

    @cached_property
    def workspaces(self) -> LogAnalyticsManagementClient:
        """Log Analytics workspaces."""
        from azure.mgmt.loganalytics import LogAnalyticsManagementClient

        return LogAnalyticsManagementClient(self.credential, self.subscription_id)

    @cached_property
    def monitor(self) -> MonitorManagementClient:
        """Diagnostic settings."""
        from azure.mgmt.monitor import MonitorManagementClient

        return MonitorManagementClient(self.credential, self.subscription_id)

    @cached_property
    def containers(self) -> ContainerServiceClient:
        """Managed clusters and their node pools."""
        from azure.mgmt.containerservice import ContainerServiceClient

        return ContainerServiceClient(self.credential, self.subscription_id)

    @cached_property
    def registries(self) -> ContainerRegistryManagementClient:
        """Container registries."""
        from azure.mgmt.containerregistry import ContainerRegistryManagementClient

        return ContainerRegistryManagementClient(self.credential, self.subscription_id)

    @cached_property
    def extensions(self) -> KubernetesConfigurationExtensionsMgmtClient:
        """Extensions of clusters."""
        from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient

        return KubernetesConfigurationExtensionsMgmtClient(self.credential, self.subscription_id)

    @cached_property
    def flux_configurations(self) -> KubernetesConfigurationFluxConfigurationsMgmtClient:
        """What clusters follow."""
        from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
            KubernetesConfigurationFluxConfigurationsMgmtClient,
        )

        return KubernetesConfigurationFluxConfigurationsMgmtClient(self.credential, self.subscription_id)

    @cached_property
    def authorization(self) -> AuthorizationManagementClient:
        """Role assignments."""
        from azure.mgmt.authorization import AuthorizationManagementClient

        return AuthorizationManagementClient(self.credential, self.subscription_id)

    @cached_property
    def policies(self) -> PolicyClient:
        """Policy assignments."""
        from azure.mgmt.resource.policy import PolicyClient

        return PolicyClient(self.credential, self.subscription_id)


def there(read: Any, *arguments: str) -> Any:
    """What `read(*arguments)` answers, or None when Azure says that there is no such thing."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return read(*arguments)
    except ResourceNotFoundError:
        return None
