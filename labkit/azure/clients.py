"""The SDK's clients for one subscription, each made when it is first used: their import is slow.

That of networks takes longest, most of a second. So whether something is there is asked with the SDK's pipeline alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.errors import ReadError
from labkit.output import Output

if TYPE_CHECKING:
    from azure.mgmt.authorization import AuthorizationManagementClient
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient
    from azure.mgmt.containerservice import ContainerServiceClient
    from azure.mgmt.keyvault import KeyVaultManagementClient
    from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
    from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
        KubernetesConfigurationFluxConfigurationsMgmtClient,
    )
    from azure.mgmt.loganalytics import LogAnalyticsManagementClient
    from azure.mgmt.monitor import MonitorManagementClient
    from azure.mgmt.msi import ManagedServiceIdentityClient
    from azure.mgmt.network import NetworkManagementClient
    from azure.mgmt.resource.policy import PolicyClient
    from azure.mgmt.resource.resources import ResourceManagementClient

    from labkit.readers import ArmReader


class Clients:
    """Management clients as Azure's documentation makes them: DefaultAzureCredential and a subscription."""

    def __init__(
        self,
        subscription_id: str,
        object_id: str = "",
        credential: Any = None,
        kubectl: Callable[..., Output] | None = None,
    ) -> None:
        """`kubectl` runs kubectl on the lab's cluster, with a list of words; a step may have something to look at there."""
        self.subscription_id = subscription_id
        self.object_id = object_id
        self.kubectl = kubectl
        self._credential = credential

    @cached_property
    def credential(self) -> Any:
        """What signs in, for all clients."""
        if self._credential is not None:
            return self._credential
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    @cached_property
    def _reader(self) -> ArmReader:
        from labkit.readers import ArmReader

        return ArmReader(self.credential)

    def found(self, path: str, kind: str) -> dict[str, Any] | None:
        """The resource or list at `path`, a resource id, as Azure answers it; None when there is no such thing.

        `kind` names its api-version in data/api-versions.toml. Raises ReadError with Azure's own refusal.
        """
        from labkit.checks.evidence import api_versions

        try:
            return self._reader.get(path, api_versions()[kind])
        except ReadError as error:
            if error.missing:
                return None
            raise

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
    def vaults(self) -> KeyVaultManagementClient:
        """Key vaults, but not what they hold."""
        from azure.mgmt.keyvault import KeyVaultManagementClient

        return KeyVaultManagementClient(self.credential, self.subscription_id)

    @cached_property
    def identities(self) -> ManagedServiceIdentityClient:
        """User-assigned identities, and their federated credentials."""
        from azure.mgmt.msi import ManagedServiceIdentityClient

        return ManagedServiceIdentityClient(self.credential, self.subscription_id)

    @cached_property
    def policies(self) -> PolicyClient:
        """Policy assignments."""
        from azure.mgmt.resource.policy import PolicyClient

        return PolicyClient(self.credential, self.subscription_id)


SUCCEEDED = "Succeeded"
ENDED = (SUCCEEDED, "Failed", "Canceled")
"""Provisioning states that no operation is behind any more (Resource Manager, "Asynchronous operations")."""


def state(resource: Any) -> str:
    """The provisioning state of what an SDK or `Clients.found` answered: empty for None; one that tells none has succeeded."""
    if resource is None:
        return ""
    if isinstance(resource, dict):
        return str((resource.get("properties") or {}).get("provisioningState") or SUCCEEDED)
    found = getattr(resource, "properties", None) or resource
    told = getattr(found, "provisioning_state", None) or SUCCEEDED
    return str(getattr(told, "value", told))  # newer SDKs tell it as an enumeration


def settled(wait: Any, title: str, read: Any, *arguments: str) -> Any:
    """As `there`, after the operation that may be on it: of a lesson, say, whose kernel has gone."""
    found = there(read, *arguments)
    if found is None or state(found) in ENDED:
        return found
    seen = [found]

    def done() -> bool | str:
        seen[0] = there(read, *arguments)
        return seen[0] is None or state(seen[0]) in ENDED or state(seen[0])

    wait(done, title, timeout=3600)
    return seen[0]


def there(read: Any, *arguments: str) -> Any:
    """What `read(*arguments)` answers, or None when Azure says that there is no such thing."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return read(*arguments)
    except ResourceNotFoundError:
        return None
