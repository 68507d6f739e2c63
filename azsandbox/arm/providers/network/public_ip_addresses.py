"""Public IP addresses. Those of the sandbox come from the ranges kept for documentation (RFC 5737)."""

from __future__ import annotations

import ipaddress

from azsandbox.arm.call import Call
from azsandbox.arm.operations import Work
from azsandbox.arm.providers.network.base import NetworkType, refusal
from azsandbox.arm.resources import Document, Stored

RANGES = (ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("198.51.100.0/24"))


class PublicIPAddresses(NetworkType):
    """Microsoft.Network/publicIPAddresses."""

    name = "publicIPAddresses"
    tracked = True
    zonal = True
    removal_rank = 95

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties, location = call.properties, call.arm.facts.location(call.document["location"])
        sku = call.document.get("sku") or {}
        method = properties.get("publicIPAllocationMethod") or "Dynamic"
        if sku.get("name") == "Standard" and method != "Static":
            raise refusal(
                "StandardSkuPublicIPAddressesMustBeStatic",
                f"Standard sku publicIp {call.id} must have AllocationMethod set to Static.",
            )
        out: Document = {
            "resourceGuid": self.guid(current),
            "publicIPAddressVersion": properties.get("publicIPAddressVersion") or "IPv4",
            "publicIPAllocationMethod": method,
            "idleTimeoutInMinutes": properties.get("idleTimeoutInMinutes") or 4,
            "ipTags": properties.get("ipTags") or [],
            "ddosSettings": properties.get("ddosSettings") or {"protectionMode": "VirtualNetworkInherited"},
        }
        if current and current.properties.get("ipAddress"):
            out["ipAddress"] = current.properties["ipAddress"]
        label = (properties.get("dnsSettings") or {}).get("domainNameLabel")
        if label:
            for other in call.arm.resources.all(self.full_name):
                taken = (other.properties.get("dnsSettings") or {}).get("domainNameLabel")
                if taken == label and other.body["location"] == location and other.id.lower() != call.id.key:
                    fqdn = f"{label}.{location}.cloudapp.azure.com"
                    raise refusal("DnsRecordInUse", f"DNS record {fqdn} is already used by another public IP.")
            out["dnsSettings"] = {"domainNameLabel": label, "fqdn": f"{label}.{location}.cloudapp.azure.com"}
        body: Document = {"properties": out}
        for key in ("tags", "zones"):
            if call.document.get(key):
                body[key] = call.document[key]
        body["sku"] = {"name": sku.get("name") or "Basic", "tier": sku.get("tier") or "Regional"}
        return body

    def completed(self, work: Work, stored: Stored) -> None:
        properties = stored.properties
        if properties["publicIPAllocationMethod"] == "Static" and "ipAddress" not in properties:
            used = {s.properties.get("ipAddress") for s in work.arm.resources.all(self.full_name)}
            free = (str(a) for network in RANGES for a in network.hosts())
            properties["ipAddress"] = next((a for a in free if a not in used), "203.0.113.254")
