"""Which events an Alert passes on, and the metadata that they get from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from azsandbox.controllers.client import Object
from azsandbox.flux.events import EVENT_GROUP
from azsandbox.flux.notification.events import INFO, group_of
from azsandbox.patterns import PatternError, compiled

Labels = Callable[[], Awaitable[dict[str, str] | None]]  # of the object that an event is about; None: not to be had
Complain = Callable[[str, str], Awaitable[None]]  # reason and message of a warning about the Alert


def cleaned(event: Object) -> Object:
    """An event without the metadata that are of no use to a reader: only those of the event group and of the object's
    own group stay, and of these no checksum and no digest."""
    group = group_of(event)
    left_out = {f"{group}/checksum".lower(), f"{group}/digest".lower()}
    kept = {
        key: value
        for key, value in (event.get("metadata") or {}).items()
        if key.lower() not in left_out and key.startswith((f"{EVENT_GROUP}/", f"{group}/"))
    }
    return {**event, "metadata": kept}


def without_token(event: Object) -> Object:
    """An event without the token that tells repetitions apart."""
    token = f"{group_of(event)}/token"
    return {**event, "metadata": {k: v for k, v in (event.get("metadata") or {}).items() if k != token}}


async def passes(event: Object, alert: Object, labels: Labels, complain: Complain) -> bool:
    """Whether an Alert passes an event on."""
    spec = alert["spec"]
    if spec.get("suspend"):
        return False
    namespace = alert["metadata"]["namespace"]
    for source in spec["eventSources"]:
        if await _fits(event, spec, {"namespace": namespace, **source}, labels):
            break
    else:
        return False
    message = str(event["message"])
    including, excluding = spec.get("inclusionList") or (), spec.get("exclusionList") or ()
    if including and not await _any_matches(including, message, "inclusion", complain):
        return False
    return not (excluding and await _any_matches(excluding, message, "exclusion", complain))


async def _fits(event: Object, spec: Object, source: Object, labels: Labels) -> bool:
    about = event["involvedObject"]
    if about.get("namespace") != source["namespace"] or about.get("kind") != source["kind"]:
        return False
    severity = spec.get("eventSeverity") or INFO
    if event["severity"] != severity and severity != INFO:
        return False
    if source["name"] not in ("*", about["name"]):
        return False
    wanted = source.get("matchLabels")
    if wanted is None:
        return True
    found = await labels()
    return found is not None and all(found.get(key) == value for key, value in wanted.items())


async def _any_matches(expressions: Iterable[str], message: str, what: str, complain: Complain) -> bool:
    for expression in expressions:
        try:
            if compiled(expression).matches(message):
                return True
        except PatternError:
            await complain("InvalidConfig", f"failed to compile {what} regex: {expression}")
    return False


# --- metadata

_OF_OBJECT = "involved object annotations"
_OF_ALERT = "Alert object .spec.eventMetadata"
_OF_SUMMARY = "Alert object .spec.summary"
_OF_CONTROLLER = "involved object controller metadata"
CONFLICT = "metadata key conflicts detected (please refer to the Alert API docs and Flux RFC 0008 for more information)"


def combined(event: Object, alert: Object) -> tuple[Object, dict[str, str]]:
    """An event with the metadata that it goes out with; and for each key that several gave, who they are.

    The later one wins: annotations of the object, the Alert's eventMetadata and summary, the object's controller
    (Flux RFC 0008).
    """
    spec, group = alert["spec"], group_of(event)
    given = event.get("metadata") or {}
    sources: list[tuple[str, dict[str, str]]] = [
        (_OF_OBJECT, _below(EVENT_GROUP, given)),
        (_OF_ALERT, spec.get("eventMetadata") or {}),
        (_OF_SUMMARY, {"summary": spec["summary"]} if spec.get("summary") else {}),
        (_OF_CONTROLLER, _below(group, given)),
    ]
    found: dict[str, str] = {}
    givers: dict[str, list[str]] = {}
    for giver, values in sources:
        for key, value in values.items():
            found[key] = value
            givers.setdefault(key, []).append(giver)
    conflicts = {key: ", ".join(names) for key, names in sorted(givers.items()) if len(names) > 1}
    return ({**event, "metadata": found} if found else event), conflicts


def _below(group: str, given: dict[str, str]) -> dict[str, str]:
    prefix = f"{group}/"
    return {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
