"""Step 2: the virtual network with a subnet for the cluster, and one for virtual nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.azure.clients import Clients
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.network.models import VirtualNetwork

ACI_DELEGATION = "Microsoft.ContainerInstance/containerGroups"


def body(settings: Settings) -> VirtualNetwork:
    """The network, the cluster's subnet, and the subnet delegated to container instances."""
    from azure.mgmt.network import models

    delegation = models.Delegation(
        name="aci", properties=models.ServiceDelegationPropertiesFormat(service_name=ACI_DELEGATION)
    )
    nodes = models.SubnetPropertiesFormat(address_prefix=settings.cluster_subnet_cidr)
    containers = models.SubnetPropertiesFormat(address_prefix=settings.aci_subnet_cidr, delegations=[delegation])
    return models.VirtualNetwork(
        location=settings.region,
        properties=models.VirtualNetworkPropertiesFormat(
            address_space=models.AddressSpace(address_prefixes=[settings.vnet_cidr]),
            subnets=[
                models.Subnet(name=settings.cluster_subnet, properties=nodes),
                models.Subnet(name=settings.aci_subnet, properties=containers),
            ],
        ),
    )


def network_id(subscription_id: str, settings: Settings) -> str:
    """Resource id of the network."""
    group = f"/subscriptions/{subscription_id}/resourceGroups/{settings.resource_group}"
    return f"{group}/providers/Microsoft.Network/virtualNetworks/{settings.vnet}"


def subnet_id(subscription_id: str, settings: Settings) -> str:
    """Resource id of the cluster's subnet."""
    return f"{network_id(subscription_id, settings)}/subnets/{settings.cluster_subnet}"


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the network is there."""
    return clients.found(network_id(clients.subscription_id, settings), "virtualNetworks") is not None


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the network if it is not there."""
    if not exists(clients, settings):
        poller = clients.network.virtual_networks.begin_create_or_update(
            settings.resource_group, settings.vnet, body(settings)
        )
        wait(poller, f"Creating the network {settings.vnet}")
