"""Lists over all resources: /resources with $filter and $expand, and the names of tags."""

from __future__ import annotations

import re

from azsandbox.arm import errors, ids, routing
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.providers.resources import tags
from azsandbox.arm.resources import Document, Stored

_EXPANDABLE = ("createdtime", "changedtime", "provisioningstate")
_TERM = re.compile(
    r"\s*(?:(?P<field>[A-Za-z/]+)\s+(?P<op>eq|ne)\s+'(?P<value>[^']*)'"
    r"|substringof\('(?P<part>[^']*)',\s*(?P<of>[A-Za-z]+)\)"
    r"|startswith\((?P<starts>tagName),\s*'(?P<prefix>[^']*)'\))\s*",
    re.IGNORECASE,
)


async def resources(call: Call, parts: list[str]) -> Answer:
    """GET …/resources of a subscription or a resource group: tracked top-level resources, without properties."""
    scope = "/subscriptions/" + parts[1]
    if len(parts) > 3:
        group = call.arm.resources.get(ids.group(parts[1], parts[3]))
        if group is None:
            raise errors.group_not_found(parts[3])
        scope = group.id
    expand = [e.strip().lower() for e in call.query.get("$expand", "").split(",") if e.strip()]
    if unknown := [e for e in expand if e not in _EXPANDABLE]:
        raise errors.gateway(
            400, "InvalidExpandInQueryString", f"Invalid $expand '{unknown[0]}' specified in the query string."
        )
    found = [s for s in call.arm.resources.below(scope) if call.arm.type_of(s.type).tracked]
    if condition := call.query.get("$filter"):
        tests = _parse(condition)
        found = [s for s in found if _holds(s, tests)]
    answer = call.page([_entry(s, expand) for s in found])
    return await visible(call, answer, "")


async def visible(call: Call, answer: Answer, action: str) -> Answer:
    """Leaves in a list only what the caller may read; `action` "" is each resource's own read."""
    access, identity = call.arm.access, call.identity
    answer.body["value"] = [
        row for row in answer.body["value"] if access.permits(identity, action or f"{row['type']}/read", row["id"])
    ]
    return answer


async def tag_names(call: Call, parts: list[str]) -> Answer:
    """GET /subscriptions/{s}/tagNames: the tags in use, with their values and counts."""
    scope = f"/subscriptions/{parts[1]}"
    routing.authorize(call, "Microsoft.Resources/subscriptions/tagNames/read", scope)
    counts: dict[str, dict[str, int]] = {}
    for stored in call.arm.resources.below(scope):
        for name, value in (stored.body.get("tags") or {}).items():
            values = counts.setdefault(name, {})
            values[str(value)] = values.get(str(value), 0) + 1
    base = f"{scope}/tagNames/"
    value = [
        {
            "id": base + name,
            "tagName": name,
            "count": {"type": "Total", "value": sum(values.values())},
            "values": [
                {"id": f"{base}{name}/tagValues/{v}", "tagValue": v, "count": {"type": "Total", "value": n}}
                for v, n in sorted(values.items())
            ],
        }
        for name, values in sorted(counts.items())
    ]
    return call.page(value)


def _entry(stored: Stored, expand: list[str]) -> Document:
    keys = ("id", "name", "type", "location", "kind", "managedBy", "sku", "identity", "zones", "tags")
    out = {key: stored.body[key] for key in keys if stored.body.get(key) is not None}
    out["type"] = stored.type
    if "createdtime" in expand:
        out["createdTime"] = stored.created
    if "changedtime" in expand:
        out["changedTime"] = stored.changed
    if "provisioningstate" in expand:
        out["provisioningState"] = stored.state or "Succeeded"
    return out


def _parse(condition: str) -> list[re.Match[str]]:
    """The terms of an `and`-joined filter. Raises InvalidFilterInQueryString."""
    tests = []
    for term in re.split(r"\s+and\s+(?=(?:[^']*'[^']*')*[^']*$)", condition.strip(), flags=re.IGNORECASE):
        found = _TERM.fullmatch(term.strip("() ") if term.startswith("(") else term)
        known = ("resourcetype", "name", "resourcegroup", "location", "tagname", "tagvalue", "identity/principalid")
        field = found and (found["field"] or found["of"] or found["starts"])
        if not found or str(field).lower() not in known:
            raise errors.gateway(
                400, "InvalidFilterInQueryString", f"Invalid $filter '{condition}' specified in the query string."
            )
        tests.append(found)
    return tests


def _holds(stored: Stored, tests: list[re.Match[str]]) -> bool:
    body = stored.body
    values = {
        "resourcetype": stored.type,
        "name": str(body.get("name")),
        "resourcegroup": stored.resource_id.group or "",
        "location": str(body.get("location")),
        "identity/principalid": str((body.get("identity") or {}).get("principalId")),
    }
    value_of_tag = next((t["value"] for t in tests if (t["field"] or "").lower() == "tagvalue"), None)
    for test in tests:
        field = (test["field"] or test["of"] or "tagname").lower()
        if test["starts"]:
            if not any(n.lower().startswith(test["prefix"].lower()) for n in body.get("tags") or {}):
                return False
        elif field == "tagname":
            if not tags.matches(body.get("tags"), test["value"], value_of_tag):
                return False
        elif field == "tagvalue":
            continue
        elif test["of"]:
            if test["part"].lower() not in values[field].lower():
                return False
        elif (values[field].lower() == test["value"].lower()) != (test["op"].lower() == "eq"):
            return False
    return True
