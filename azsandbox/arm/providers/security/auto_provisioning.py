"""Microsoft.Security/autoProvisioningSettings: whether an agent comes to virtual machines by itself.

A record, as all of a subscription's settings of Defender are here: the sandbox has no virtual machines of the learner's
that an agent could come to, and the Log Analytics agent that it was about is retired (August 2024).
"""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

NAME = "default"
VALUES = ("Off", "On")


class AutoProvisioningSettings(ResourceType):
    """Microsoft.Security/autoProvisioningSettings/default of a subscription; Off until somebody sets it."""

    name = "autoProvisioningSettings"
    scopes = ("subscription",)
    has_state = False
    created_status = 200

    async def get(self, call: Call) -> Answer:
        self._check(call)
        return Answer(200, self._document(call, call.id.scope))

    async def list(self, call: Call) -> Answer:
        assert call.target is not None
        return Answer(200, {"value": [self._document(call, call.target.scope)]})

    async def accept(self, call: Call, current: Stored | None) -> Document:
        self._check(call)
        wanted = str(call.properties.get("autoProvision"))
        found = next((value for value in VALUES if value.lower() == wanted.lower()), None)
        if found is None:
            text = f"The value '{wanted}' of 'autoProvision' is not valid. Possible values: {', '.join(VALUES)}."
            raise errors.ArmError(400, "BadRequest", text)
        return {"properties": {"autoProvision": found}}

    async def delete(self, call: Call) -> Answer:
        """There is no such operation."""
        raise errors.method_not_allowed(call.method, self.full_name)

    def _document(self, call: Call, scope: str) -> Document:
        id_ = f"{scope}/providers/{self.full_name}/{NAME}"
        stored = call.arm.resources.get(id_)
        off: Document = {"id": id_, "name": NAME, "type": self.full_name, "properties": {"autoProvision": VALUES[0]}}
        return stored.body if stored else off

    def _check(self, call: Call) -> None:
        if call.id.name.lower() != NAME:
            raise errors.resource_not_found(self.full_name, call.id.names, None)
