"""Microsoft.PolicyInsights/attestations: what people vouch for, where a policy of the effect Manual asks them to.

Shapes are those of azure-cli's recording test_policy_attestation (api-version 2022-09-01) and of the examples of the API
specification; the rules those of the documentation, "Azure Policy attestation structure".
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.policy import definitions
from azsandbox.arm.policy.built_in import ASSIGNMENTS
from azsandbox.arm.policy.compliance import ATTESTED
from azsandbox.arm.providers.authorization.policy_objects import system_data
from azsandbox.arm.providers.policyinsights.listing import below
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

GIVEN = ("expiresOn", "owner", "comments", "evidence", "assessmentDate", "metadata")
TIMES = ("expiresOn", "assessmentDate")


class Attestations(ResourceType):
    """Attestations on a subscription, a group or a resource, one for each assignment and member."""

    name = "attestations"
    extension = True

    async def accept(self, call: Call, current: Stored | None) -> Document:
        given, name = call.properties, call.id.name
        asked = str(given.get("policyAssignmentId") or "")
        assignment = call.arm.resources.get(asked) if asked else None
        if assignment is None or assignment.type != ASSIGNMENTS:
            raise _refused(name, f"The policy assignment '{asked}' could not be found.")
        if not ids.within(call.id.scope, str(assignment.properties["scope"])):
            raise _refused(name, f"The policy assignment '{asked}' is not at or above the scope of the attestation.")
        reference = str(given.get("policyDefinitionReferenceId") or "")
        self._check_reference(call, name, assignment, reference)
        state = given.get("complianceState")
        known = next((s for s in ATTESTED if s.lower() == str(state).lower()), None)
        if state is not None and known is None:
            raise errors.invalid_content(
                "The request content was invalid and could not be deserialized: 'Error converting value "
                f"\"{state}\" to type 'ComplianceState'. Path 'properties.complianceState'.'."
            )
        for other in call.arm.resources.children(call.id.scope, self.full_name):
            if other.id.lower() != call.id.key and _about(other) == (asked.lower(), reference.lower()):
                raise _refused(
                    name, f"The attestation '{other.name}' is there for the same policy assignment and resource."
                )
        out: Document = {"policyAssignmentId": asked.lower()}
        if reference:
            out["policyDefinitionReferenceId"] = reference.lower()
        if known:
            out["complianceState"] = known
        before = current.properties if current else {}
        same = current is not None and before.get("complianceState") == known
        out["lastComplianceStateChangeAt"] = (
            before["lastComplianceStateChangeAt"] if same else timestamp(call.arm.services.clock)
        )
        for key in GIVEN:
            if given.get(key) is not None:
                out[key] = _time(key, str(given[key])) if key in TIMES else given[key]
        call.private["systemData"] = system_data(call, current)
        return {"properties": out}

    def _check_reference(self, call: Call, name: str, assignment: Stored, reference: str) -> None:
        body = definitions.find(call.arm, assignment.properties["policyDefinitionId"]) or {"id": "", "properties": {}}
        members = {
            str(m["policyDefinitionReferenceId"]).lower() for m in body["properties"].get("policyDefinitions") or []
        }
        if members and not reference:
            raise _refused(
                name,
                "The policy assignment is of a policy set definition, so that a policy definition reference ID is needed.",
            )
        if reference and reference.lower() not in members:
            raise _refused(
                name, f"The policy definition reference ID '{reference}' could not be found in the policy set."
            )

    def present(self, call: Call, stored: Stored) -> Document:
        return {**stored.body, "id": stored.id.lower(), "systemData": stored.private.get("systemData")}

    def not_found(self, call: Call) -> errors.ArmError:
        return errors.ArmError(404, "AttestationNotFound", f"The attestation '{call.id.name}' could not be found.")

    async def list(self, call: Call) -> Answer:
        """Those at the scope and below; $filter knows PolicyAssignmentId eq."""
        return call.page([self.present(call, s) for s in below(call, self.full_name)])


def _about(stored: Stored) -> tuple[str, str]:
    properties: dict[str, Any] = stored.properties
    return str(properties["policyAssignmentId"]).lower(), str(
        properties.get("policyDefinitionReferenceId") or ""
    ).lower()


def _time(key: str, text: str) -> str:
    try:
        dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'Could not convert string to DateTime: "
            f"{text}. Path 'properties.{key}'.'."
        ) from None
    return text


def _refused(name: str, text: str) -> errors.ArmError:
    text = f"The request to create attestation '{name}' is invalid. {text}"
    return errors.ArmError(400, "InvalidCreateAttestationRequest", text)
