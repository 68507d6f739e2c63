"""Microsoft.Network: virtual networks and subnets in full; of the rest what a cluster's network needs."""

from __future__ import annotations

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.network.locations import AvailableDelegations, Usages
from azsandbox.arm.providers.network.private_dns import PrivateDnsZones, VirtualNetworkLinks
from azsandbox.arm.providers.network.public_ip_addresses import PublicIPAddresses
from azsandbox.arm.providers.network.security_groups import NetworkSecurityGroups
from azsandbox.arm.providers.network.subnets import Subnets
from azsandbox.arm.providers.network.virtual_networks import CheckIPAddress, VirtualNetworks, VirtualNetworkUsages
from azsandbox.arm.providers.network.wiring import NatGateways, RouteTables

__all__ = ["Network"]


class Network(Provider):
    """The namespace Microsoft.Network."""

    namespace = "Microsoft.Network"

    def __init__(self) -> None:
        super().__init__(
            [
                VirtualNetworks(),
                Subnets(),
                VirtualNetworkUsages(),
                CheckIPAddress(),
                NetworkSecurityGroups(),
                RouteTables(),
                NatGateways(),
                PublicIPAddresses(),
                PrivateDnsZones(),
                VirtualNetworkLinks(),
                Usages(),
                AvailableDelegations(),
            ]
        )
