"""GET /providers/NAMESPACE/operations: the operations that a provider has, of which roles are made."""

from __future__ import annotations

from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.resource_type import ResourceType


class ProviderOperations(ResourceType):
    """NAMESPACE/operations: a list only, for providers whose operations data/azure/provider-operations.json has."""

    name = "operations"
    scopes = ("tenant",)
    stored = False

    async def list(self, call: Call) -> Answer:
        return Answer(200, {"value": read("provider-operations.json")["providers"][self.provider.namespace]})
