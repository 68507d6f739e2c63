"""Members and owners, and who is in which group."""

from __future__ import annotations

from typing import Any

from azsandbox.entra.graph import entities
from azsandbox.entra.graph.graph import ROOT, Call, GraphError, not_found, unsupported
from azsandbox.entra.web import Answer

# What can be asked of an object about the groups that it is in
ASKED = ("getmembergroups", "getmemberobjects", "checkmembergroups", "checkmemberobjects")


def references(call: Call, stored: dict[str, Any], listed: str, rest: list[str]) -> Answer:
    """GET …/members (and …/$count), POST …/members/$ref, DELETE …/members/{id}/$ref, and the same of owners."""
    object_id = stored["properties"]["id"]
    if not rest and call.method == "GET":
        return _list(call, list(stored.get(listed) or []))
    if rest == ["$count"] and call.method == "GET":
        return entities.count(call, *_found(call, list(stored.get(listed) or [])))
    if rest == ["$ref"] and call.method == "POST":
        call.writes()
        reference = call.body().get("@odata.id")
        if not reference:
            raise GraphError(400, "Request_BadRequest", "A value is required for property '@odata.id'.")
        entities.refer(call, stored, listed, str(reference))
        return Answer(204)
    if len(rest) == 2 and rest[1] == "$ref" and call.method == "DELETE":
        call.writes()
        if not call.entra.directory.remove_reference(listed, object_id, rest[0]):
            raise not_found(rest[0])
        return Answer(204)
    raise unsupported(f"{call.method} …/{'/'.join([listed, *rest])}")


def transitive_members(call: Call, stored: dict[str, Any]) -> Answer:
    """Everyone in a group, through groups in it too."""
    found: list[str] = []
    waiting = list(stored["members"])
    while waiting:
        member = waiting.pop(0)
        if member not in found:
            found.append(member)
            waiting += call.entra.directory.members(member)
    return _list(call, found)


def member_of(call: Call, stored: dict[str, Any], *, transitive: bool) -> Answer:
    """The groups that an object is in."""
    object_id = stored["properties"]["id"]
    groups = call.entra.directory.groups_of(object_id)
    if not transitive:
        groups = tuple(g for g in groups if object_id in call.entra.directory.members(g))
    return _list(call, list(groups))


def member_groups(call: Call, stored: dict[str, Any], name: str) -> Answer:
    """POST …/getMemberGroups and getMemberObjects: ids of the groups; checkMemberGroups and checkMemberObjects: those
    of the ids given."""
    if call.method != "POST":
        raise unsupported(f"{call.method} …/{name}")
    groups = list(call.entra.directory.groups_of(stored["properties"]["id"]))
    if name.startswith("check"):
        asked = {str(i).lower() for i in call.body().get("groupIds" if name == ASKED[2] else "ids") or []}
        groups = [g for g in groups if g in asked]
    return Answer(200, {"@odata.context": f"{ROOT}/$metadata#Collection(Edm.String)", "value": groups})


def owned(call: Call, stored: dict[str, Any]) -> Answer:
    """What an object owns: groups, applications and service principals, oldest first."""
    object_id = stored["properties"]["id"]
    found = [o for o in call.entra.directory.each() if object_id in (o.get("owners") or ())]
    return _list(call, [o["properties"]["id"] for o in found])


def by_ids(call: Call) -> Answer:
    """POST /directoryObjects/getByIds: the objects that there are of those ids, with their types."""
    body = call.body()
    kinds = {str(t).lower() for t in body.get("types") or []} - {"directoryobject"}
    found = []
    for object_id in body.get("ids") or []:
        stored = call.entra.directory.stored(str(object_id))
        if stored and (not kinds or stored["kind"].lower() in kinds):
            found.append(entities.visible(call, stored, typed=True))
    return Answer(200, {"@odata.context": f"{ROOT}/$metadata#directoryObjects", "value": found})


def _found(call: Call, ids: list[str]) -> tuple[list[dict[str, Any]], set[str]]:
    """The objects of those ids, and all properties that such objects have."""
    stored = [s for s in map(call.entra.directory.stored, ids) if s is not None]
    known = set().union(*(entities.properties_of(s["kind"]) for s in stored)) if stored else {"id", "displayName"}
    return stored, known


def _list(call: Call, ids: list[str]) -> Answer:
    stored, known = _found(call, ids)
    context = f"{ROOT}/$metadata#directoryObjects"
    return Answer(200, entities.page(call, stored, context, known, typed=True))
