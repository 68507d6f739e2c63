"""What remediations and attestations have in common: lists of those at a scope and below, of one assignment or of all."""

from __future__ import annotations

import re

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Call
from azsandbox.arm.resources import Stored

_FILTER = re.compile(r"policyAssignmentId\s+eq\s+'([^']*)'", re.IGNORECASE)


def below(call: Call, full_name: str) -> list[Stored]:
    """The resources of a type at the scope of a request and below it; $filter knows PolicyAssignmentId eq.

    Raises ArmError for another filter.
    """
    assert call.target is not None
    found = [s for s in call.arm.resources.all(full_name) if ids.within(s.resource_id.scope, call.target.scope)]
    if condition := call.query.get("$filter", "").strip():
        wanted = _FILTER.fullmatch(condition)
        if not wanted:
            text = f"Invalid $filter '{condition}' specified in the query string."
            raise errors.gateway(400, "InvalidFilterInQueryString", text)
        found = [s for s in found if ids.same(s.properties["policyAssignmentId"], wanted[1])]
    return found
