"""Part 4 of the series: a key vault that is open to the cluster's subnet and to whoever makes it, with one secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labkit.azure import network
from labkit.azure.access import assign
from labkit.azure.clients import SUCCEEDED, Clients, state
from labkit.azure.cluster import kind_of_principal
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.keyvault.models import NetworkRuleSet, VaultCreateOrUpdateParameters

PROVIDERS = ("Microsoft.KeyVault", "Microsoft.ManagedIdentity")
"""Resource providers that lesson 41 needs registered."""

SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
"""Key Vault Secrets Officer (Azure built-in roles)."""

SECRET = "greeting"  # noqa: S105 - its name
ENDPOINT = "Microsoft.KeyVault"
RETENTION_DAYS = 7
"""The fewest days that a deleted vault is kept (Key Vault docs, "Soft-delete overview"); fixed when a vault is made."""


def vault_id(subscription_id: str, settings: Settings) -> str:
    """Resource id of the vault."""
    group = f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}"
    return f"{group}/providers/Microsoft.KeyVault/vaults/{settings.vault}"


def rules(subnet: str, addresses: tuple[str, ...] = ()) -> NetworkRuleSet:
    """Network rules that let in a subnet and some addresses."""
    from azure.mgmt.keyvault import models

    return models.NetworkRuleSet(
        default_action="Deny",
        bypass="AzureServices",
        virtual_network_rules=[models.VirtualNetworkRule(id=subnet)],
        ip_rules=[models.IPRule(value=address) for address in addresses],
    )


def body(
    subscription_id: str, tenant_id: str, settings: Settings, *, recover: bool = False
) -> VaultCreateOrUpdateParameters:
    """A vault decided by roles, protected from purging, closed but for the cluster's subnet; or a deleted one, as it was."""
    from azure.mgmt.keyvault import models

    properties = models.VaultProperties(
        tenant_id=tenant_id,
        sku=models.Sku(family="A", name="standard"),
        enable_rbac_authorization=True,
        enable_purge_protection=True,
        soft_delete_retention_in_days=RETENTION_DAYS,
        network_acls=rules(network.subnet_id(subscription_id, settings)),
        create_mode="recover" if recover else None,
    )
    return models.VaultCreateOrUpdateParameters(location=settings.region, properties=properties)


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the vault is there, and roles decide in it."""
    found = clients.found(vault_id(clients.subscription_id, settings), "vaults")
    return state(found) == SUCCEEDED and bool((found or {})["properties"].get("enableRbacAuthorization"))


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the vault, or bring back a deleted one; open it to whoever is signed in; and write the secret if it has none."""
    for namespace in PROVIDERS:
        if clients.resources.providers.get(namespace).registration_state != "Registered":
            clients.resources.providers.register(namespace)
    open_subnet(clients, settings, wait)
    if not exists(clients, settings):
        deleted = any(vault.name == settings.vault for vault in clients.vaults.vaults.list_deleted())
        tenant = tenant_of(clients)
        made = body(clients.subscription_id, tenant, settings, recover=deleted)
        poller = clients.vaults.vaults.begin_create_or_update(settings.resource_group, settings.vault, made)
        wait(poller, f"{'Recovering' if deleted else 'Creating'} the vault {settings.vault}")
    where = vault_id(clients.subscription_id, settings)
    if clients.object_id:
        assign(clients, clients.object_id, SECRETS_OFFICER, where, kind_of_principal(clients))
    wait(lambda: _written(clients, settings), "Waiting until the vault lets you in", timeout=900)


def tenant_of(clients: Clients) -> str:
    """The tenant of whoever is signed in."""
    from labkit.targets import ARM_SCOPE, token_claims

    return str(token_claims(clients.credential.get_token(ARM_SCOPE).token).get("tid", ""))


def open_subnet(clients: Clients, settings: Settings, wait: Any) -> None:
    """Give the cluster's subnet the service endpoint by which a vault knows it, unless it has it."""
    from azure.mgmt.network.models import ServiceEndpointPropertiesFormat

    where = (settings.resource_group, settings.vnet, settings.cluster_subnet)
    subnet = clients.network.subnets.get(*where)
    assert subnet.properties is not None
    endpoints = list(subnet.properties.service_endpoints or [])
    if ENDPOINT not in {endpoint.service for endpoint in endpoints}:
        subnet.properties.service_endpoints = [*endpoints, ServiceEndpointPropertiesFormat(service=ENDPOINT)]
        wait(clients.network.subnets.begin_create_or_update(*where, subnet), "Adding the service endpoint")


def _written(clients: Clients, settings: Settings) -> bool | str:
    """True if the vault holds the secret, which is written if need be; else why not yet."""
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
    from azure.keyvault.secrets import SecretClient

    with SecretClient(f"https://{settings.vault}.vault.azure.net", clients.credential) as secrets:
        try:
            secrets.get_secret(SECRET)
        except ResourceNotFoundError:
            secrets.set_secret(SECRET, "hello from the vault")
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            let_in(clients, settings, str(error.message))
            return str(error.message).splitlines()[0]
    return True


def let_in(clients: Clients, settings: Settings, said: str) -> None:
    """Add the address that a vault refused, and named in what it `said`, to its network rules."""
    from azure.mgmt.keyvault import models

    found = re.search(r"Client address: ([\d.]+)", said)
    if found is None:
        return
    vault = clients.vaults.vaults.get(settings.resource_group, settings.vault)
    acls = vault.properties.network_acls
    known = [rule.value for rule in (acls.ip_rules or [])] if acls else []
    if {found[1], f"{found[1]}/32"} & set(known):
        return  # it is on its way
    allowed = rules(network.subnet_id(clients.subscription_id, settings), (*known, found[1]))
    change = models.VaultPatchParameters(properties=models.VaultPatchProperties(network_acls=allowed))
    clients.vaults.vaults.update(settings.resource_group, settings.vault, change)
