"""Registration of resource providers with the subscription, and what GET of a provider says."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.arm.operations import when
from azsandbox.arm.resources import Document

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

COLLECTION = "registrations"
SECONDS = 60.0  # that Azure takes to register a provider
ALWAYS = ("Microsoft.Authorization", "Microsoft.Resources", "Microsoft.Features")  # registration is free or automatic


def state(arm: Arm, namespace: str) -> str:
    """Registered, Registering, NotRegistered or Unregistering; told from what was asked and when.

    A new subscription of the sandbox has every provider registered, as one that has been in use.
    """
    record = arm.services.store.get(COLLECTION, namespace.lower())
    if record is None:
        return "Registered"
    found = orjson.loads(record.value)
    done = arm.services.clock.now() >= when(found["due"])
    if found["wanted"]:
        return "Registered" if done else "Registering"
    return "NotRegistered" if done else "Unregistering"


def change(arm: Arm, namespace: str, wanted: bool) -> None:
    """Begins to register or unregister, unless it is so already."""
    if state(arm, namespace) in (("Registered", "Registering") if wanted else ("NotRegistered", "Unregistering")):
        return
    due = arm.services.clock.now() + dt.timedelta(seconds=arm.services.clock.scaled(SECONDS))
    value = orjson.dumps({"wanted": wanted, "due": due.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"})
    arm.services.store.put(COLLECTION, namespace.lower(), value)


def document(arm: Arm, namespace: str, subscription: str | None) -> Document:
    """The provider as GET shows it; without a subscription its id and state are left out."""
    out: Document = {}
    if subscription:
        out["id"] = f"/subscriptions/{subscription}/providers/{namespace}"
    out["namespace"] = namespace
    out["resourceTypes"] = [_type(arm, namespace, name) for name in arm.facts.providers[namespace]]
    if subscription:
        out["registrationState"] = state(arm, namespace)
        out["registrationPolicy"] = "RegistrationFree" if namespace in ALWAYS else "RegistrationRequired"
    return out


def _type(arm: Arm, namespace: str, name: str) -> dict[str, Any]:
    full = f"{namespace}/{name}"
    places = arm.facts.locations_of(full)
    provider = arm.provider(namespace)
    type_ = provider.types.get(name.lower()) if provider else None
    if type_ and type_.tracked:
        capabilities = "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation"
    elif type_ and type_.extension:
        capabilities = "SupportsExtension"
    else:
        capabilities = "None"
    out: dict[str, Any] = {
        "resourceType": name,
        "locations": arm.facts.display_names(places),
        "apiVersions": arm.facts.versions(full),
        "capabilities": capabilities,
    }
    zoned = [p for p in places if arm.facts.locations.get(p, {}).get("zones")]
    if type_ and type_.zonal:
        out["zoneMappings"] = [{"location": arm.facts.display_names([p])[0], "zones": ["1", "2", "3"]} for p in zoned]
    return out
