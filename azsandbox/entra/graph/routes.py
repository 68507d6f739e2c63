"""The paths of Graph that the sandbox answers."""

from __future__ import annotations

from typing import Any

from azsandbox.entra.directory import COLLECTIONS, Kind
from azsandbox.entra.graph import applications, entities, memberships
from azsandbox.entra.graph.graph import ROOT, Call, GraphError, unsupported
from azsandbox.entra.web import Answer

_KINDS: dict[str, Kind] = {name.lower(): kind for kind, name in COLLECTIONS.items()}


def route(call: Call) -> Answer:
    """Answers a call. Raises GraphError."""
    segments = call.segments
    if segments[:1] == ["me"]:
        segments = ["users", call.identity.object_id, *segments[1:]]
        if len(segments) == 2 and call.method == "GET":
            return entities.show(call, "user", call.identity.object_id)
    first = segments[0].lower() if segments else ""
    if first == "organization":
        return _organization(call)
    if first == "directoryobjects":
        return _directory_objects(call, segments[1:])
    kind = _KINDS.get(first)
    if kind is None:
        raise unsupported(f"{call.method} /{'/'.join(segments)}")
    if len(segments) == 1:
        return _collection(call, kind)
    if segments[1:] == ["$count"] and call.method == "GET":
        return entities.count(call, list(call.entra.directory.each(kind)), entities.properties_of(kind))
    stored = entities.find(call, kind, segments[1])
    if len(segments) == 2:
        return _entity(call, kind, stored)
    return _below(call, kind, stored, segments[2:])


def _collection(call: Call, kind: Kind) -> Answer:
    if call.method == "GET":
        return entities.index(call, kind)
    if call.method == "POST":
        call.writes()
        return entities.create(call, kind)
    raise _method(call)


def _entity(call: Call, kind: Kind, stored: dict[str, Any]) -> Answer:
    object_id = stored["properties"]["id"]
    if call.method == "GET":
        return entities.show(call, kind, object_id)
    if call.method == "PATCH":
        call.writes()
        return entities.change(call, kind, stored)
    if call.method == "DELETE":
        call.writes()
        call.entra.directory.delete(object_id)
        return Answer(204)
    raise _method(call)


def _below(call: Call, kind: Kind, stored: dict[str, Any], rest: list[str]) -> Answer:
    """What lies below an object: members, memberships, passwords, federated credentials."""
    name = rest[0].lower()
    has_passwords = kind in ("application", "servicePrincipal")
    if name == "members" and kind == "group":
        return memberships.references(call, stored, "members", rest[1:])
    if name == "owners" and kind != "user":
        return memberships.references(call, stored, "owners", rest[1:])
    if name == "transitivemembers" and kind == "group" and len(rest) == 1:
        return memberships.transitive_members(call, stored)
    if name in ("memberof", "transitivememberof") and kind != "application" and len(rest) == 1:
        return memberships.member_of(call, stored, transitive=name != "memberof")
    if name in memberships.ASKED and kind != "application":
        return memberships.member_groups(call, stored, name)
    if name in ("ownedobjects", "owneddirectoryobjects") and kind in ("user", "servicePrincipal") and len(rest) == 1:
        return memberships.owned(call, stored)
    if name in ("addpassword", "removepassword") and has_passwords and len(rest) == 1:
        return applications.password(call, stored, name)
    if name == "federatedidentitycredentials" and kind == "application":
        return applications.federated(call, stored, rest[1:])
    raise unsupported(f"{call.method} /{COLLECTIONS[kind]}/{{id}}/{'/'.join(rest)}")


def _directory_objects(call: Call, rest: list[str]) -> Answer:
    if rest and rest[0].lower() == "getbyids" and call.method == "POST":
        return memberships.by_ids(call)
    if len(rest) == 1 and call.method == "GET":
        stored = call.entra.directory.stored(rest[0])
        if stored is None:
            raise entities.missing(rest[0])
        shown = entities.visible(call, stored, typed=True)
        return Answer(200, {"@odata.context": f"{ROOT}/$metadata#directoryObjects/$entity", **shown})
    if len(rest) == 2 and rest[1].lower() in memberships.ASKED:
        stored = call.entra.directory.stored(rest[0])
        if stored is None:
            raise entities.missing(rest[0])
        return memberships.member_groups(call, stored, rest[1].lower())
    raise unsupported(f"{call.method} /directoryObjects/{'/'.join(rest)}")


def _organization(call: Call) -> Answer:
    if call.method != "GET":
        raise _method(call)
    from azsandbox.entra import facts

    domain = call.entra.directory.domain
    verified = {
        "capabilities": "Email, OfficeCommunicationsOnline",
        "isDefault": True,
        "isInitial": True,
        "name": domain,
        "type": "Managed",
    }
    organization = {
        "id": call.entra.tenant_id,
        "displayName": facts.personas()["organization"],
        "tenantType": "AAD",
        "verifiedDomains": [verified],
    }
    names = call.request.query.get("$select")
    chosen = names.split(",") if names else list(organization)
    suffix = f"({','.join(chosen)})" if names else ""
    shown = entities.select_from(organization, chosen)
    return Answer(200, {"@odata.context": f"{ROOT}/$metadata#organization{suffix}", "value": [shown]})


def _method(call: Call) -> GraphError:
    return GraphError(
        405, "Request_BadRequest", f"Specified HTTP method is not allowed for the request target: {call.method}."
    )
