"""Private DNS zones and their links to networks. Records are not supported, but for the SOA that each zone has."""

from __future__ import annotations

import re

from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Style, Work, status_only
from azsandbox.arm.provider import NameRule
from azsandbox.arm.providers.network.base import NetworkType, reference, refusal
from azsandbox.arm.resources import Document, Stored

LINKS = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
ZONE_NAME = re.compile(r"([A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9_-]{1,63}")
STYLE = Style(
    status_path="/subscriptions/{subscription}/providers/Microsoft.Network/privateDnsOperationStatuses/{id}",
    result_path="/subscriptions/{subscription}/providers/Microsoft.Network/privateDnsOperationResults/{id}",
    result_on=("PUT", "PATCH", "DELETE"),
    body=status_only,
)


class _PrivateDns(NetworkType):
    style = STYLE
    names = NameRule(r".+")
    global_location = True
    tracked = True
    creating = "Creating"
    created_status = updated_status = 202

    async def write(self, call: Call) -> Answer:
        answer = await super().write(call)
        return Answer(answer.status, None, answer.headers)

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"etag": stored.etag}


class PrivateDnsZones(_PrivateDns):
    """Microsoft.Network/privateDnsZones."""

    name = "privateDnsZones"
    removal_rank = 80

    async def accept(self, call: Call, current: Stored | None) -> Document:
        if not ZONE_NAME.fullmatch(call.id.name):
            raise refusal(
                "BadRequest",
                f"The domain name '{call.id.name}' is invalid. The provided private zone name must have at least two labels.",
            )
        return {"properties": {}} | ({"tags": call.document["tags"]} if call.document.get("tags") else {})

    def present(self, call: Call, stored: Stored) -> Document:
        body = super().present(call, stored)
        links = call.arm.resources.children(stored.id, LINKS)
        registering = [x for x in links if x.properties.get("registrationEnabled")]
        body["properties"] = {
            "maxNumberOfRecordSets": 25000,
            "numberOfRecordSets": 1,
            "maxNumberOfVirtualNetworkLinks": 1000,
            "numberOfVirtualNetworkLinks": len(links),
            "maxNumberOfVirtualNetworkLinksWithRegistration": 100,
            "numberOfVirtualNetworkLinksWithRegistration": len(registering),
            "provisioningState": stored.state,
        }
        return body

    async def check_delete(self, call: Call, current: Stored) -> None:
        if links := call.arm.resources.children(current.id, LINKS):
            raise refusal(
                "CannotDeleteResource",
                f"Cannot delete resource while nested resources exist. Some existing nested resource IDs include: '{links[0].id}'. "
                "Please delete all nested resources before deleting this resource.",
                409,
            )


class VirtualNetworkLinks(_PrivateDns):
    """Microsoft.Network/privateDnsZones/virtualNetworkLinks."""

    name = "privateDnsZones/virtualNetworkLinks"

    async def accept(self, call: Call, current: Stored | None) -> Document:
        vnet = reference(call.properties.get("virtualNetwork"))
        if not vnet or call.arm.resources.get(vnet) is None:
            raise refusal(
                "BadRequest", f"The virtual network '{vnet}' of the link '{call.id.name}' could not be found."
            )
        properties = {
            "virtualNetwork": {"id": vnet},
            "registrationEnabled": bool(call.properties.get("registrationEnabled")),
            "virtualNetworkLinkState": "InProgress",
        }
        return {"properties": properties} | ({"tags": call.document["tags"]} if call.document.get("tags") else {})

    def completed(self, work: Work, stored: Stored) -> None:
        stored.properties["virtualNetworkLinkState"] = "Completed"
