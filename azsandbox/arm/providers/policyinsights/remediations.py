"""Microsoft.PolicyInsights/remediations: tasks that bring existing resources into line with one policy.

A task takes the resources that do not comply, some at a time, and does to each what the effect does (documentation,
"Remediation task structure"). Shapes are those of azure-cli's recordings (test_policy_insights_remediation*).
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Work
from azsandbox.arm.policy import compliance, definitions
from azsandbox.arm.policy.built_in import ASSIGNMENTS
from azsandbox.arm.policy.in_force import Policy, document
from azsandbox.arm.provider import action
from azsandbox.arm.providers.authorization.policy_objects import system_data
from azsandbox.arm.providers.policyinsights.listing import below
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

Documents = list[Document]
MODES = ("ExistingNonCompliant", "ReEvaluateCompliance")
RUNNING = ("Accepted", "Evaluating", "Running", "Cancelling")
RESOURCES, PARALLEL = 500, 10  # of a task that does not say ("Remediation task structure", resource count and parallel)
LIMITS = {"resourceCount": 50000, "parallelDeployments": 30}
PERIOD = 20.0  # seconds from one look at the queue of tasks to the next


class Remediations(ResourceType):
    """Microsoft.PolicyInsights/remediations, on a subscription, a group or a resource."""

    name = "remediations"
    extension = True
    read_actions = ("listdeployments",)
    creating = updating = "Accepted"

    async def put(self, call: Call) -> Answer:
        current = call.current
        answer = await self.write(call)
        answer.status = 200 if current else 201
        answer.headers = {}
        return answer

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        return 0.0 if kind != "delete" and call.private.get("nothing") else PERIOD if kind == "create" else 0.0

    async def accept(self, call: Call, current: Stored | None) -> Document:
        given, name = call.properties, call.id.name
        scope = call.id.scope
        if scope.lower().startswith("/providers/microsoft.management/"):
            raise errors.not_supported("management groups")
        asked = str(given.get("policyAssignmentId") or "")
        assignment = call.arm.resources.get(asked) if asked else None
        if assignment is None or assignment.type != ASSIGNMENTS:
            raise _refused(
                name, f"The policy assignment '{asked}' could not be found.", 404, "PolicyAssignmentNotFound"
            )
        at = str(assignment.properties["scope"])
        if not ids.within(scope, at) and not ids.within(at, scope):
            raise _refused(name, f"The policy assignment '{asked}' is not at or above the scope of the remediation.")
        reference = str(given.get("policyDefinitionReferenceId") or "")
        self._check_reference(call, name, assignment, reference)
        mode = str(given.get("resourceDiscoveryMode") or MODES[0])
        known = next((m for m in MODES if m.lower() == mode.lower()), None)
        if known is None:
            raise errors.invalid_content(
                "The request content was invalid and could not be deserialized: 'Error converting value "
                f"\"{mode}\" to type 'ResourceDiscoveryMode'. Path 'properties.resourceDiscoveryMode'.'."
            )
        self._check_numbers(name, given)
        self._check_running(call, name, asked, reference)
        now = timestamp(call.arm.services.clock)
        out: Document = {"policyAssignmentId": asked.lower()}
        if reference:
            out["policyDefinitionReferenceId"] = reference.lower()
        out["provisioningState"] = "Accepted"
        out["createdOn"] = (current.properties if current else {}).get("createdOn") or now
        out["lastUpdatedOn"] = now
        for key in ("filters",):
            if given.get(key) is not None:
                out[key] = given[key]
        out["deploymentStatus"] = {"totalDeployments": 0, "successfulDeployments": 0, "failedDeployments": 0}
        out["resourceDiscoveryMode"] = known
        out["correlationId"] = str(uuid.uuid4())
        for key in ("resourceCount", "parallelDeployments", "failureThreshold"):
            if given.get(key) is not None:
                out[key] = given[key]
        call.private = {"systemData": system_data(call, current), "deployments": []}
        found = Stored(str(call.id), self.full_name, {"properties": out})
        if known == MODES[0] and not _targets(call.arm, found):
            call.private["nothing"] = True
        return {"properties": out}

    def _check_reference(self, call: Call, name: str, assignment: Stored, reference: str) -> None:
        body = definitions.find(call.arm, assignment.properties["policyDefinitionId"]) or {"id": "", "properties": {}}
        if not definitions.is_set(str(body["id"])):
            if reference:
                raise _refused(
                    name, "A policy definition reference ID is given, and the assignment is of no policy set."
                )
            return
        members = {str(m["policyDefinitionReferenceId"]).lower() for m in body["properties"]["policyDefinitions"]}
        if not reference:
            raise _refused(
                name,
                "The policy assignment is of a policy set definition, so that a policy definition reference ID must be "
                "specified.",
            )
        if reference.lower() not in members:
            raise _refused(
                name, f"The policy definition reference ID '{reference}' could not be found in the policy set."
            )

    def _check_numbers(self, name: str, given: Document) -> None:
        for key, most in LIMITS.items():
            value = given.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
                raise _refused(name, f"The value '{value}' of '{key}' is not valid; expected 1 to {most}.")
        share = (given.get("failureThreshold") or {}).get("percentage")
        if share is not None and (not isinstance(share, int | float) or not 0 <= share <= 1):
            raise _refused(name, f"The failure threshold '{share}' is not valid; expected 0 to 1.")

    def _check_running(self, call: Call, name: str, asked: str, reference: str) -> None:
        """One task at a time for an assignment, a member, and a scope."""
        for other in call.arm.resources.all(self.full_name):
            if (
                other.state in RUNNING
                and other.properties["policyAssignmentId"].lower() == asked.lower()
                and str(other.properties.get("policyDefinitionReferenceId") or "").lower() == reference.lower()
                and (
                    ids.within(other.resource_id.scope, call.id.scope)
                    or ids.within(call.id.scope, other.resource_id.scope)
                )
            ):
                member = f", definition reference ID '{reference}'" if reference else ""
                raise errors.ArmError(
                    400,
                    "InvalidCreateRemediationRequest",
                    f"The request to create remediation '{name}' is invalid. The following remediations: '{other.name}' are "
                    f"already running for policy assignment '{asked}'{member} on a scope conflicting with requested scope.",
                )

    def present(self, call: Call, stored: Stored) -> Document:
        body = {**stored.body, "id": stored.id.lower(), "systemData": stored.private.get("systemData")}
        if call.api_version < "2021-10":
            properties = dict(body["properties"])
            for key in ("resourceCount", "parallelDeployments", "failureThreshold", "correlationId"):
                properties.pop(key, None)
            body["properties"] = properties
            body.pop("systemData")
        return body

    def not_found(self, call: Call) -> errors.ArmError:
        text = f"The remediation '{call.id.name}' could not be found."
        return errors.ArmError(404, "RemediationNotFound", text)

    async def list(self, call: Call) -> Answer:
        """Those at the scope and below, the newest first; $filter knows PolicyAssignmentId eq and $top."""
        found = below(call, self.full_name)
        found.sort(key=lambda s: str(s.properties["createdOn"]), reverse=True)
        return call.page([self.present(call, s) for s in found])

    async def delete(self, call: Call) -> Answer:
        stored = call.current
        if stored is None:
            return Answer(204)
        if stored.state in RUNNING:
            text = (
                f"The request to delete remediation '{stored.name}' is invalid. A remediation in the state '{stored.state}' "
                "cannot be deleted; cancel it first."
            )
            raise errors.ArmError(400, "InvalidDeleteRemediationRequest", text)
        call.arm.resources.delete(stored.id)
        return Answer(200, self.present(call, stored))

    @action("listDeployments")
    async def list_deployments(self, call: Call, stored: Stored | None) -> Answer:
        """What the task did to each resource."""
        assert stored is not None
        return call.page(stored.private.get("deployments") or [])

    @action("cancel")
    async def cancel(self, call: Call, stored: Stored | None) -> Answer:
        """Stops a task: what is deploying goes on to its end, nothing more is begun."""
        assert stored is not None
        if stored.state not in RUNNING:
            text = f"The request to cancel remediation '{stored.name}' is invalid. It is in the terminal state '{stored.state}'."
            raise errors.ArmError(400, "InvalidCancelRemediationRequest", text)
        stored.properties["provisioningState"] = "Cancelling"
        stored.properties["lastUpdatedOn"] = timestamp(call.arm.services.clock)
        stored.private["systemData"] = system_data(call, stored)
        call.arm.resources.put(stored)
        return Answer(200, self.present(call, stored))

    # --- the work

    async def perform(self, work: Work) -> None:
        """Brings the resources into line, some at a time; safe to do again, as only what lacks it still is looked at."""
        await work.wait()
        stored = work.resource
        if stored is None or stored.state == "Cancelling":
            return
        if stored.properties["resourceDiscoveryMode"] == MODES[1]:
            self._write(work.arm, stored.id, state="Evaluating")
            await work.sleep(PERIOD)
            compliance.evaluate(work.arm)
        targets = _targets(work.arm, stored)
        clock = work.arm.services.clock
        rows = [
            {
                "remediatedResourceId": str(resource["id"]).lower(),
                "status": "Evaluating",
                "resourceLocation": str(resource.get("location") or ""),
                "createdOn": timestamp(clock),
                "lastUpdatedOn": timestamp(clock),
            }
            for _, resource in targets
        ]
        self._write(work.arm, stored.id, rows, "Running" if rows else "Succeeded")
        threshold = (stored.properties.get("failureThreshold") or {}).get("percentage")
        limit = asyncio.Semaphore(int(stored.properties.get("parallelDeployments") or PARALLEL))

        async def one(number: int) -> None:
            async with limit:
                failed = sum(r["status"] == "Failed" for r in rows)
                latest = work.resource
                stopped = threshold is not None and failed / len(rows) > float(threshold)
                if stopped or latest is None or latest.state == "Cancelling":
                    rows[number]["status"] = "Canceled"
                else:
                    await self._one(
                        work.arm, *targets[number], rows[number], lambda: self._write(work.arm, stored.id, rows)
                    )
                self._write(work.arm, stored.id, rows)

        await asyncio.gather(*(one(n) for n in range(len(rows))))
        if rows:
            compliance.evaluate(work.arm)

    async def _one(self, arm: Arm, policy: Policy, resource: Document, row: Document, told: Any) -> None:
        from azsandbox.arm.policy import pending, remedy

        latest = arm.resources.get(str(resource["id"]))
        if latest is None or not pending.lacks(arm, policy, document(latest)):
            row["status"] = "Succeeded"  # in line by now
        else:
            if policy.effect.lower() == "deployifnotexists":
                row["deploymentId"] = remedy.deployment(arm, policy, document(latest))[0].lower()
            row["status"] = "Running"
            told()
            try:
                await remedy.bring_into_line(arm, policy, document(latest))
                row["status"] = "Succeeded"
            except errors.ArmError as error:
                row["status"], row["error"] = "Failed", remedy.told(error)
        row["lastUpdatedOn"] = timestamp(arm.services.clock)

    def _write(self, arm: Arm, id_: str, rows: Documents | None = None, state: str = "") -> None:
        """Keeps how far the task is, whose state somebody may have changed."""
        stored = arm.resources.get(id_)
        if stored is None:
            return
        if state and stored.state != "Cancelling":
            stored.properties["provisioningState"] = state
        if rows is not None:
            stored.private["deployments"] = rows
            states = [r["status"] for r in rows]
            stored.properties["deploymentStatus"] = {
                "totalDeployments": len(rows),
                "successfulDeployments": states.count("Succeeded"),
                "failedDeployments": states.count("Failed"),
            }
        stored.properties["lastUpdatedOn"] = timestamp(arm.services.clock)
        arm.resources.put(stored)

    def ended(self, work: Work) -> None:
        stored = work.resource
        if stored is None:
            return
        rows = stored.private.get("deployments") or []
        share = (stored.properties.get("failureThreshold") or {}).get("percentage")
        failed = [r for r in rows if r["status"] == "Failed"]
        if stored.state == "Cancelling":
            state = "Canceled"
        elif work.operation.status != "Succeeded" or (failed and len(failed) / len(rows) > float(share or 0)):
            state = "Failed"
        else:
            state = "Succeeded"
        stored.properties["provisioningState"] = state
        if state == "Failed":
            stored.properties["statusMessage"] = f"{len(failed)} of {len(rows)} deployments failed."
        stored.properties["lastUpdatedOn"] = timestamp(work.arm.services.clock)
        work.arm.resources.put(stored)


def _targets(arm: Arm, stored: Stored) -> list[tuple[Policy, Document]]:
    """The resources that a task is about, each with the policy, as the last evaluation found them."""
    from azsandbox.arm.policy.remedy import EFFECTS

    properties = stored.properties
    reference = str(properties.get("policyDefinitionReferenceId") or "").lower()
    filters = properties.get("filters") or {}
    places = {arm.facts.location(str(p)) for p in filters.get("locations") or []}
    wanted = {str(r).lower() for r in filters.get("resourceIds") or []}
    out: list[tuple[Policy, Document]] = []
    for row in compliance.records(arm, stored.resource_id.scope):
        if (
            row["complianceState"] != "NonCompliant"
            or row["policyAssignmentId"].lower() != properties["policyAssignmentId"].lower()
            or row["policyDefinitionReferenceId"] != reference
        ):
            continue
        found = arm.resources.get(row["resourceId"])
        resource = document(found) if found else None
        if resource is None or (wanted and str(resource["id"]).lower() not in wanted):
            continue
        if places and str(resource.get("location") or "") not in places:
            continue
        for policy in arm.policies.policies(resource):
            same = policy.assignment["id"].lower() == properties["policyAssignmentId"].lower()
            if same and policy.reference.lower() == reference and policy.effect.lower() in EFFECTS:
                out.append((policy, resource))
    return out[: int(properties.get("resourceCount") or RESOURCES)]


def _refused(name: str, text: str, status: int = 400, code: str = "InvalidCreateRemediationRequest") -> errors.ArmError:
    return errors.ArmError(status, code, f"The request to create remediation '{name}' is invalid. {text}")
