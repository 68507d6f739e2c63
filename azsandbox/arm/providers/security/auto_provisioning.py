"""Microsoft.Security/autoProvisioningSettings: whether an agent comes to virtual machines by itself.

The Log Analytics agent that it was about is retired (August 2024), so that "On" is refused by name.
"""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document

NAME = "default"


class AutoProvisioningSettings(ResourceType):
    """Microsoft.Security/autoProvisioningSettings/default of a subscription, which is always Off."""

    name = "autoProvisioningSettings"
    scopes = ("subscription",)
    has_state = False
    stored = False

    def _document(self, scope: str) -> Document:
        id_ = f"{scope}/providers/{self.full_name}/{NAME}"
        return {"id": id_, "name": NAME, "type": self.full_name, "properties": {"autoProvision": "Off"}}

    async def get(self, call: Call) -> Answer:
        self._check(call)
        return Answer(200, self._document(call.id.scope))

    async def list(self, call: Call) -> Answer:
        assert call.target is not None
        return Answer(200, {"value": [self._document(call.target.scope)]})

    async def put(self, call: Call) -> Answer:
        """PUT, always 200; only "Off"."""
        self._check(call)
        wanted = str(call.properties.get("autoProvision"))
        if wanted.lower() != "off":
            raise errors.not_supported(f"autoProvision '{wanted}' (the agent that it installs is retired; only 'Off')")
        return Answer(200, self._document(call.id.scope))

    def _check(self, call: Call) -> None:
        if call.id.name.lower() != NAME:
            raise errors.resource_not_found(self.full_name, call.id.names, None)
