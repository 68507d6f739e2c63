"""Policy exemptions: a scope below an assignment that is let off, with a reason and until a time."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.policy import definitions
from azsandbox.arm.policy.built_in import ASSIGNMENTS
from azsandbox.arm.providers.authorization.policy_assignments import invalid_reference
from azsandbox.arm.providers.authorization.policy_objects import (
    PolicyObject,
    system_data,
    unsupported_filter,
)
from azsandbox.arm.resources import Document, Stored

CATEGORIES = ("Waiver", "Mitigated")


class PolicyExemptions(PolicyObject):
    """Microsoft.Authorization/policyExemptions."""

    name = "policyExemptions"
    noun, missing_code = "policy exemption", "PolicyExemptionNotFound"

    async def put(self, call: Call) -> Answer:
        return await self.write(call)

    async def accept(self, call: Call, current: Stored | None) -> Document:
        given, name = call.properties, call.id.name
        category = str(given.get("exemptionCategory") or "")
        found = next((c for c in CATEGORIES if c.lower() == category.lower()), None)
        if found is None:
            text = (
                "The request content was invalid and could not be deserialized: "
                + (
                    f"'Error converting value \"{category}\" to type 'PolicyExemptionCategory'."
                    if category
                    else "'Required property 'exemptionCategory' not found in JSON."
                )
                + " Path 'properties'.'."
            )
            raise errors.invalid_content(text)
        asked = str(given.get("policyAssignmentId") or "")
        assignment = call.arm.resources.get(asked) if asked else None
        if assignment is None or assignment.type != ASSIGNMENTS:
            text = f"The policy assignment '{asked.rsplit('/', 1)[-1]}' is not found."
            raise errors.ArmError(404, "PolicyAssignmentNotFound", text)
        if not ids.within(call.id.scope, assignment.properties["scope"]):
            text = (
                f"The policy exemption '{name}' create request is invalid. Its scope '{call.id.scope}' is not at or below the "
                f"scope '{assignment.properties['scope']}' of the policy assignment."
            )
            raise errors.ArmError(400, "InvalidCreatePolicyExemptionRequest", text)
        self._check_references(call, name, assignment, given.get("policyDefinitionReferenceIds") or [])
        out: Document = {"policyAssignmentId": given["policyAssignmentId"]}
        if given.get("policyDefinitionReferenceIds") is not None:
            out["policyDefinitionReferenceIds"] = given["policyDefinitionReferenceIds"]
        out["exemptionCategory"] = found
        if given.get("expiresOn"):
            out["expiresOn"] = self._time(str(given["expiresOn"]))
        for key in ("displayName", "description", "metadata", "assignmentScopeValidation"):
            if given.get(key) is not None:
                out[key] = given[key]
        if given.get("resourceSelectors"):
            raise errors.not_supported("resourceSelectors of a policy exemption")
        call.private["systemData"] = system_data(call, current)
        return {"properties": out}

    async def list(self, call: Call) -> Answer:
        """Exemptions at the scope and below; with atScope() at it and above; others as Azure has them."""
        assert call.target is not None
        scope = call.target.scope or "/"
        stored = call.arm.resources.all(self.full_name)
        condition = call.query.get("$filter", "").strip()
        bare = condition.replace(" ", "").lower()
        found = [s for s in stored if ids.within(_scope(s), scope) or ids.within(scope, _scope(s))]
        if bare == "atexactscope()":
            found = [s for s in found if ids.same(_scope(s), scope)]
        elif bare == "atscope()":
            found = [s for s in found if ids.within(scope, _scope(s))]
        elif bare == "excludeexpired()":
            now = call.arm.services.clock.now()
            found = [s for s in found if not _expired(s, now)]
        elif match := re.fullmatch(r"policyAssignmentId\s+eq\s+'?([^']+)'?", condition, re.IGNORECASE):
            found = [s for s in found if ids.same(s.properties["policyAssignmentId"], match[1])]
        elif bare:
            raise unsupported_filter(call)
        return call.page([self.present(call, s) for s in found])

    def _check_references(self, call: Call, name: str, assignment: Stored, references: Any) -> None:
        body = definitions.find(call.arm, assignment.properties["policyDefinitionId"]) or {"properties": {}}
        members = body["properties"].get("policyDefinitions") or []
        known = {str(m["policyDefinitionReferenceId"]).lower() for m in members}
        if wrong := [r for r in references if str(r).lower() not in known]:
            raise invalid_reference(self.noun, name, wrong)

    def _time(self, text: str) -> str:
        try:
            dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            message = (
                "The request content was invalid and could not be deserialized: 'Could not convert string to DateTime: "
                f"{text}. Path 'properties.expiresOn'.'."
            )
            raise errors.invalid_content(message) from None
        return text


def _scope(stored: Stored) -> str:
    return stored.resource_id.scope


def _expired(stored: Stored, now: dt.datetime) -> bool:
    expires = stored.properties.get("expiresOn")
    if not expires:
        return False
    found = dt.datetime.fromisoformat(str(expires).replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)) <= now
