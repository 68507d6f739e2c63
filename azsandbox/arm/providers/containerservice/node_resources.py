"""What AKS makes in the node resource group, as types that can be read there: scale sets, identities and others."""

from __future__ import annotations

from typing import Any

from azsandbox.arm.call import Answer, Call
from azsandbox.arm.errors import not_supported
from azsandbox.arm.provider import Provider
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Stored

TYPES = {
    "Microsoft.Compute": ["virtualMachineScaleSets"],
    "Microsoft.Network": ["loadBalancers", "publicIPAddresses", "networkSecurityGroups", "routeTables"],
    "Microsoft.ManagedIdentity": ["userAssignedIdentities"],
}


class NodeResource(ResourceType):
    """A type of which the sandbox has only what AKS made: it is read, and goes with its group."""

    tracked = True

    def __init__(self, name: str) -> None:
        self.name = name

    async def put(self, call: Call) -> Answer:
        raise not_supported(f"PUT of {self.full_name}")

    async def patch(self, call: Call) -> Answer:
        raise not_supported(f"PATCH of {self.full_name}")

    async def delete(self, call: Call) -> Answer:
        raise not_supported(f"DELETE of {self.full_name} (it belongs to a managed cluster)")

    async def remove(self, arm: Any, stored: Stored) -> None:
        """Nothing but what is stored."""


def add(arm: Any) -> None:
    """Adds to Resource Manager those of the types that no provider has."""
    for namespace, names in TYPES.items():
        provider = arm.provider(namespace)
        if provider is None:
            provider = Provider([])
            provider.namespace = namespace
            arm.providers[namespace.lower()] = provider
        for name in names:
            if name.lower() not in provider.types:
                type_ = NodeResource(name)
                type_.provider = provider
                provider.types[name.lower()] = type_
