"""Subscriptions, their locations, and tenants."""

from __future__ import annotations

from typing import Any

from azsandbox.arm import errors, routing
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resources import Document

NAME = "AKS baseline lab"  # display name of the sandbox's subscription and tenant
COUNTRY = "NL"  # of the tenant


def document(call: Call) -> Document:
    """The sandbox's subscription."""
    id_ = call.arm.services.subscription_id
    return {
        "id": f"/subscriptions/{id_}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": id_,
        "tenantId": call.arm.services.tenant_id,
        "displayName": NAME,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


async def list_(call: Call, parts: list[str]) -> Answer:
    """GET /subscriptions: those in which the caller has any role."""
    principals = (call.identity.object_id, *call.identity.groups)
    id_ = f"/subscriptions/{call.arm.services.subscription_id}"
    has_role = call.arm.access.assigned_within(principals, id_)
    value = [document(call)] if has_role else []
    return Answer(200, {"value": value, "count": {"type": "Total", "value": len(value)}})


async def get(call: Call, parts: list[str]) -> Answer:
    """GET of one subscription."""
    routing.authorize(call, "Microsoft.Resources/subscriptions/read", f"/subscriptions/{parts[1]}")
    return Answer(200, document(call))


async def tenants(call: Call, parts: list[str]) -> Answer:
    """GET /tenants."""
    id_ = call.arm.services.tenant_id
    tenant: dict[str, Any] = {
        "id": f"/tenants/{id_}",
        "tenantId": id_,
        "countryCode": COUNTRY,
        "displayName": NAME,
        "domains": [],
        "tenantCategory": "Home",
        "tenantType": "AAD",
    }
    return Answer(200, {"value": [tenant]})


async def locations(call: Call, parts: list[str]) -> Answer:
    """GET of the subscription's locations."""
    subscription = call.arm.services.subscription_id
    if parts[1].lower() != subscription.lower():
        raise errors.subscription_not_found(parts[1])
    return Answer(200, {"value": [_location(subscription, row) for row in call.arm.facts.locations.values()]})


def _location(subscription: str, row: dict[str, Any]) -> Document:
    base = f"/subscriptions/{subscription}/locations/"
    metadata: Document = {
        "regionType": "Physical",
        "regionCategory": row["regionCategory"],
        "geography": row["geography"],
        "geographyGroup": row["geographyGroup"],
        "longitude": row["longitude"],
        "latitude": row["latitude"],
        "physicalLocation": row["physicalLocation"],
        "pairedRegion": [],
    }
    if row["pairedRegion"]:
        metadata["pairedRegion"] = [{"name": row["pairedRegion"], "id": base + row["pairedRegion"]}]
    out: Document = {
        "id": base + row["name"],
        "name": row["name"],
        "type": "Region",
        "displayName": row["displayName"],
        "regionalDisplayName": f"({row['geographyGroup']}) {row['displayName']}",
        "metadata": metadata,
    }
    if row["zones"]:
        out["availabilityZoneMappings"] = [
            {"logicalZone": str(z), "physicalZone": f"{row['name']}-az{z}"} for z in range(1, row["zones"] + 1)
        ]
    return out
