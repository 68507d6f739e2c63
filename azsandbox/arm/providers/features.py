"""Microsoft.Features: preview features, shown and registered under two forms of address.

/subscriptions/{s}/providers/Microsoft.Features/providers/{namespace}/features/{name}[/register]
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import orjson

from azsandbox.arm import errors, routing
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.operations import when
from azsandbox.arm.provider import Provider
from azsandbox.arm.resources import Document

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

COLLECTION = "features"
SECONDS = 300.0
PATH = re.compile(
    r"/subscriptions/(?P<s>[^/]+)/providers/Microsoft\.Features(?:/providers/(?P<n>[^/]+))?/features(?:/(?P<f>[^/]+)(?:/(?P<v>register|unregister))?)?",
    re.IGNORECASE,
)


class Features(Provider):
    """The namespace Microsoft.Features; it has no resources, only the addresses below."""

    namespace = "Microsoft.Features"

    def __init__(self) -> None:
        super().__init__([])


async def answer(call: Call) -> Answer | None:
    """The answer to an address of Microsoft.Features; None for any other."""
    found = PATH.fullmatch(call.path)
    if found is None:
        return None
    arm, scope = call.arm, f"/subscriptions/{found['s']}"
    namespace = found["n"] and (arm.facts.namespace(found["n"]) or found["n"])
    verb = (found["v"] or "").lower()
    if call.method != ("POST" if verb else "GET"):
        raise errors.method_not_allowed(call.method, "Microsoft.Features/features")
    routing.authorize(call, f"Microsoft.Features/{'features/' + verb + '/action' if verb else 'features/read'}", scope)
    known: dict[str, list[str]] = read("features.json")["features"]
    if found["f"] is None:
        names = [(n, f) for n, fs in known.items() for f in fs if namespace in (None, n)]
        return call.page([document(arm, scope, n, f) for n, f in names])
    name = next((f for f in known.get(str(namespace), []) if f.lower() == found["f"].lower()), None)
    if name is None:
        text = f"The feature '{found['f']}' could not be found."
        raise errors.gateway(404, "FeatureNotFound", text)
    if verb:
        change(arm, str(namespace), name, verb == "register")
    return Answer(200, document(arm, scope, str(namespace), name))


def change(arm: Arm, namespace: str, name: str, wanted: bool) -> None:
    """Begins to register or unregister a feature."""
    if state(arm, namespace, name) in (("Registered", "Registering") if wanted else ("NotRegistered", "Unregistering")):
        return
    due = arm.services.clock.now() + dt.timedelta(seconds=arm.services.clock.scaled(SECONDS))
    value = orjson.dumps({"wanted": wanted, "due": due.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"})
    arm.services.store.put(COLLECTION, f"{namespace}/{name}".lower(), value)


def state(arm: Arm, namespace: str, name: str) -> str:
    """NotRegistered, Registering, Registered or Unregistering."""
    record = arm.services.store.get(COLLECTION, f"{namespace}/{name}".lower())
    if record is None:
        return "NotRegistered"
    kept = orjson.loads(record.value)
    done = arm.services.clock.now() >= when(kept["due"])
    if kept["wanted"]:
        return "Registered" if done else "Registering"
    return "Unregistered" if done else "Unregistering"


def document(arm: Arm, scope: str, namespace: str, name: str) -> Document:
    """A feature as answered."""
    return {
        "properties": {"state": state(arm, namespace, name)},
        "id": f"{scope}/providers/Microsoft.Features/providers/{namespace}/features/{name}",
        "type": "Microsoft.Features/providers/features",
        "name": f"{namespace}/{name}",
    }
