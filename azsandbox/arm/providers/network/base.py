"""What resources of Microsoft.Network have in common: operations, etags, names, error form."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from azsandbox.arm import ids
from azsandbox.arm.call import Call
from azsandbox.arm.errors import ArmError
from azsandbox.arm.operations import Style, status_only
from azsandbox.arm.provider import NameRule
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

STYLE = Style(
    status_path="/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/operations/{id}",
    result_path="/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/operationResults/{id}",
    body=status_only,
    done=204,
    headers={"Azure-AsyncNotification": "Enabled"},
)
NAME = NameRule(
    r"\w([\w.-]{0,78}\w)?",
    "InvalidResourceName",
    "Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with a word character, "
    "and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.",
)


def refusal(code: str, message: str, status: int = 400) -> ArmError:
    """An error as Microsoft.Network writes it: with empty details."""
    return ArmError(status, code, message, details=[])


class NetworkType(ResourceType):
    """A type of Microsoft.Network."""

    style = STYLE
    names = NAME
    etags = True
    creating = "Updating"
    create_seconds, delete_seconds = 4.0, 10.0

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        return self.delete_seconds if kind == "delete" else self.create_seconds

    def present(self, call: Call, stored: Stored) -> Document:
        out: Document = {"name": stored.name, "id": stored.id, "etag": f'W/"{stored.etag}"'}
        out |= stored.body
        if self.attached_by and (subnets := attached(call.arm, stored.id, self.attached_by)):
            out["properties"] = out["properties"] | {"subnets": subnets}
        return out

    attached_by = ""  # the key by which subnets refer to it

    @staticmethod
    def guid(current: Stored | None) -> str:
        """The resourceGuid: kept from the first write on."""
        return str(current.properties["resourceGuid"]) if current else str(uuid.uuid4())


def attached(arm: Arm, id_: str, key: str) -> list[Document]:
    """The subnets that refer to a resource by `key`, as references."""
    found = arm.resources.all("Microsoft.Network/virtualNetworks/subnets")
    return [{"id": s.id} for s in found if ids.same(reference(s.properties.get(key)) or "", id_)]


def reference(value: Any) -> str | None:
    """The id in a sub-resource such as {"id": …}."""
    return value.get("id") if isinstance(value, dict) else None
