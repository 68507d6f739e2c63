"""Users, groups, service principals and applications: lists, reads, and changes."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from azsandbox.entra import facts
from azsandbox.entra.directory import COLLECTIONS, DirectoryError, Kind
from azsandbox.entra.graph import filters
from azsandbox.entra.graph.graph import ROOT, Call, GraphError, not_found, unsupported
from azsandbox.entra.web import Answer

PAGE = 100  # objects of a page when $top does not say otherwise
LARGEST_PAGE = 999
_TYPES = {"user": "User", "group": "Group", "servicePrincipal": "ServicePrincipal", "application": "Application"}
_REQUIRED: dict[str, list[str]] = {
    "user": ["accountEnabled", "displayName", "mailNickname", "passwordProfile", "userPrincipalName"],
    "group": ["displayName", "mailEnabled", "mailNickname", "securityEnabled"],
    "application": ["displayName"],
    "servicePrincipal": ["appId"],
}
_READ_ONLY = {
    "id", "appId", "createdDateTime", "deletedDateTime", "renewedDateTime", "securityIdentifier",
    "appOwnerOrganizationId", "publisherDomain", "servicePrincipalType",
}  # fmt: skip
missing = not_found


def properties_of(kind: Kind) -> set[str]:
    """All properties that objects of a kind have."""
    found = set(facts.shapes()[kind])
    return found | set(facts.shapes()["user_selectable"]) if kind == "user" else found


def find(call: Call, kind: Kind, name: str) -> dict[str, Any]:
    """The stored object with an id (for a user, or a user principal name). Raises GraphError."""
    directory = call.entra.directory
    stored = directory.stored(name, kind)
    if stored is None and kind == "user":
        user = directory.find(name, "user") if "@" in name else None
        stored = directory.stored(user.object_id) if user else None
    if stored is None:
        raise not_found(name)
    return stored


def visible(call: Call, stored: dict[str, Any], *, typed: bool = False) -> dict[str, Any]:
    """What Graph shows of an object. `typed` puts its @odata.type in front, as in lists of mixed kinds."""
    kind = stored["kind"]
    names = call.request.query.get("$select")
    if typed and names:
        chosen = [n for n in _names(names) or [] if n in stored["properties"]]
        shown = filters.select(stored["properties"], chosen, [])
    else:
        shown = filters.select(stored["properties"], _names(names), list(facts.shapes()[kind]))
    return {"@odata.type": f"#microsoft.graph.{kind}", **shown} if typed else shown


def select_from(properties: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Some properties of an object. Raises QueryError for one there is not."""
    return filters.select(properties, names, [])


def show(call: Call, kind: Kind, object_id: str) -> Answer:
    """GET of one object."""
    _refuse_options(call, {"$select"})
    stored = call.entra.directory.stored(object_id)
    if stored is None:
        raise not_found(object_id)
    return Answer(200, {"@odata.context": _context(call, kind, entity=True), **visible(call, stored)})


def index(call: Call, kind: Kind) -> Answer:
    """GET of a list, filtered, ordered and paged."""
    found = list(call.entra.directory.each(kind))
    body = page(call, found, _context(call, kind), properties_of(kind))
    return Answer(200, body)


def page(
    call: Call, found: list[dict[str, Any]], context: str, known: set[str], *, typed: bool = False
) -> dict[str, Any]:
    """One page of stored objects as a Graph list. Raises QueryError or GraphError."""
    _refuse_options(call, {"$select", "$filter", "$search", "$orderby", "$top", "$skiptoken", "$count"})
    query = call.request.query
    found = _wanted(call, found, known)
    if query.get("$orderby"):
        ids = [o["properties"] for o in found]
        place = {o["id"]: n for n, o in enumerate(filters.order(ids, query["$orderby"], known))}
        found = sorted(found, key=lambda o: place[o["properties"]["id"]])
    top, start = _number(query, "$top", PAGE), _number(query, "$skiptoken", 0)
    if not 0 < top <= LARGEST_PAGE:
        raise GraphError(
            400,
            "Request_BadRequest",
            f"Invalid page size specified: '{top}'. Must be between 1 and {LARGEST_PAGE} inclusive.",
        )
    body: dict[str, Any] = {"@odata.context": context}
    if query.get("$count") == "true":
        body["@odata.count"] = len(found)
    if start + top < len(found):
        rest = {k: v for k, v in query.items() if k != "$skiptoken"} | {"$skiptoken": str(start + top)}
        text = "&".join(f"{quote(k, safe='$')}={quote(v)}" for k, v in rest.items())
        body["@odata.nextLink"] = f"{call.request.base_url}{call.request.path}?{text}"
    body["value"] = [visible(call, o, typed=typed) for o in found[start : start + top]]
    return body


def count(call: Call, found: list[dict[str, Any]], known: set[str]) -> Answer:
    """GET …/$count: how many there are, as text. Raises QueryError or GraphError."""
    if not _eventual(call):
        raise GraphError(400, "Request_BadRequest", "$count is not currently supported.")
    _refuse_options(call, {"$filter", "$search"})
    return Answer(200, str(len(_wanted(call, found, known))), content_type="text/plain")


def _wanted(call: Call, found: list[dict[str, Any]], known: set[str]) -> list[dict[str, Any]]:
    """Those of some objects that $filter and $search leave. Raises QueryError or GraphError."""
    query = call.request.query
    if query.get("$filter"):
        test = filters.parse(query["$filter"], known)
        found = [o for o in found if test(o["properties"])]
    if query.get("$search"):
        if not _eventual(call):
            raise GraphError(
                400,
                "Request_UnsupportedQuery",
                "Request with $search query parameter only works through MSGraph with a special request header: "
                "'ConsistencyLevel: eventual'",
            )
        if "(" in re.sub('"[^"]*"', "", query["$search"]):
            raise unsupported("parentheses in $search")
        searched = filters.searched(query["$search"], known)
        found = [o for o in found if searched(o["properties"])]
    return found


def _eventual(call: Call) -> bool:
    return call.request.headers.get("consistencylevel", "").lower() == "eventual"


def create(call: Call, kind: Kind) -> Answer:
    """POST of a new object."""
    body = call.body()
    for name in _REQUIRED[kind]:
        if body.get(name) in (None, ""):
            raise GraphError(
                400, "Request_BadRequest", f"A value is required for property '{name}' of resource '{_TYPES[kind]}'."
            )
    binds = {name: body.pop(name) for name in ("members@odata.bind", "owners@odata.bind") if name in body}
    if kind != "group" and binds:
        raise GraphError(400, "Request_BadRequest", f"Invalid property '{next(iter(binds))}'.")
    properties = _checked(call, kind, body, new=True)
    if kind == "servicePrincipal":
        properties = _principal_of(call, properties)
    stored = call.entra.directory.create(kind, properties)
    object_id = stored["properties"]["id"]
    for name, references in binds.items():
        for reference in references:
            refer(call, stored, name.partition("@")[0], str(reference))
    location = f"https://graph.microsoft.com/v2/{call.entra.tenant_id}/directoryObjects/{object_id}/Microsoft.DirectoryServices.{_TYPES[kind]}"
    shown = filters.select(stored["properties"], None, list(facts.shapes()[kind]))
    return Answer(201, {"@odata.context": _context(call, kind, entity=True), **shown}, {"location": location})


def change(call: Call, kind: Kind, stored: dict[str, Any]) -> Answer:
    """PATCH of an object."""
    properties = _checked(call, kind, call.body(), new=False, object_id=stored["properties"]["id"])
    call.entra.directory.update(stored["properties"]["id"], properties)
    return Answer(204)


def refer(call: Call, stored: dict[str, Any], listed: str, reference: str) -> None:
    """Adds the object that an @odata.id names to the members or owners of another. Raises GraphError."""
    wanted = reference.rstrip("/").rpartition("/")[2]
    other = call.entra.directory.get(wanted)
    if other is None:
        raise not_found(wanted)
    if listed == "members" and other.kind == "application":
        raise GraphError(
            400,
            "Request_BadRequest",
            f"The reference target '{wanted}' of type 'Application' is not of the right type for the reference 'members'.",
        )
    add = call.entra.directory.add_member if listed == "members" else call.entra.directory.add_owner
    add(stored["properties"]["id"], other.object_id)


# --- inside


def _checked(
    call: Call, kind: Kind, body: dict[str, Any], *, new: bool, object_id: str | None = None
) -> dict[str, Any]:
    """The properties of a body, after Graph's checks. Raises GraphError or DirectoryError."""
    body = dict(body)
    body.pop("@odata.type", None)
    if kind == "user":
        body.pop("passwordProfile", None)  # write-only; nobody signs in with a password here
    known = properties_of(kind)
    for name in body:
        if name not in known:
            raise GraphError(400, "Request_BadRequest", f"Invalid property '{name}'.")
        if name in _READ_ONLY and not (new and name == "appId" and kind == "servicePrincipal"):
            raise GraphError(400, "Request_BadRequest", f"Property '{name}' is read-only and cannot be set.")
        if name in ("passwordCredentials", "keyCredentials") and body[name]:
            raise unsupported(f"{name} in the body; POST …/addPassword makes a secret, or use a federated credential")
    if body.get("groupTypes") or body.get("mailEnabled"):
        raise unsupported("Microsoft 365 and mail-enabled groups; the sandbox has security groups")
    upn = body.get("userPrincipalName")
    if upn is not None:
        name, _, domain = str(upn).partition("@")
        if not name or domain.lower() != call.entra.directory.domain:
            raise GraphError(
                400,
                "Request_BadRequest",
                "The domain portion of the userPrincipalName property is invalid. You must use one of the verified "
                "domain names in your organization.",
            )
        _unique(call, "user", "userPrincipalName", upn, object_id)
    for uri in body.get("identifierUris") or []:
        _unique(call, "application", "identifierUris", uri, object_id)
    return body


def _unique(call: Call, kind: Kind, name: str, value: str, object_id: str | None) -> None:
    for other in call.entra.directory.each(kind):
        found = other["properties"].get(name)
        values = found if isinstance(found, list) else [found]
        if other["properties"]["id"] != object_id and value.lower() in (str(v).lower() for v in values):
            raise DirectoryError(
                "Request_BadRequest",
                f"Another object with the same value for property {name} already exists.",
            )


def _principal_of(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The properties of the service principal of an application. Raises GraphError."""
    app_id = str(body["appId"])
    if call.entra.directory.service_principal(app_id):
        raise GraphError(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            "The service principal cannot be created, updated, or restored because the service principal name "
            f"{app_id} is already in use.",
        )
    for stored in call.entra.directory.each("application"):
        application = stored["properties"]
        if application["appId"].lower() == app_id.lower():
            return body | {
                "appId": application["appId"],
                "displayName": application["displayName"],
                "appDisplayName": application["displayName"],
                "servicePrincipalType": "Application",
                "servicePrincipalNames": [application["appId"], *application["identifierUris"]],
                "signInAudience": application["signInAudience"],
            }
    raise GraphError(
        400,
        "Request_BadRequest",
        f"The appId '{app_id}' of the service principal does not reference a valid application object.",
    )


def _context(call: Call, kind: Kind, *, entity: bool = False) -> str:
    names = call.request.query.get("$select")
    chosen = f"({names})" if names else ""
    return f"{ROOT}/$metadata#{COLLECTIONS[kind]}{chosen}{'/$entity' if entity else ''}"


def _names(text: str | None) -> list[str] | None:
    return [n.strip() for n in text.split(",") if n.strip()] if text else None


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise GraphError(400, "Request_BadRequest", f"Invalid value '{text}' for the query option '{name}'.")
    return int(text)


def _refuse_options(call: Call, known: set[str]) -> None:
    for name in call.request.query:
        if name.startswith("$") and name not in known:
            raise unsupported(f"the query option {name} here")
