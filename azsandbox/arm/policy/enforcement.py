"""What policies do to a request: append and modify change what is written, deny and denyAction refuse it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.policy import expressions, fields
from azsandbox.arm.policy.built_in import EXEMPTIONS
from azsandbox.arm.policy.conditions import Judge
from azsandbox.arm.policy.definitions import version_of
from azsandbox.arm.policy.in_force import InForce, Policy, document, judged
from azsandbox.arm.resources import Document, merge, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.call import Call
    from azsandbox.arm.provider import Arm

LEFT_OUT = (
    "microsoft.authorization/policy",
    EXEMPTIONS.lower(),
    "microsoft.policyinsights/",
    "microsoft.resources/deployments",
)


def scope_of(arm: Arm, policy: Policy, resource: Document, api_version: str = "") -> expressions.Scope:
    """What functions in the rule of a policy can ask about a resource."""
    id_ = str(resource["id"])
    parts = id_.split("/")
    group: Document = {}
    if len(parts) > 4 and parts[3].lower() == "resourcegroups":
        stored = arm.resources.get(ids.group(parts[2], parts[4]))
        group = dict(stored.body) if stored else {"name": parts[4], "id": "/".join(parts[:5])}
    subscription = arm.services.subscription_id
    return expressions.Scope(
        parameters=policy.values,
        group=group,
        subscription={
            "id": f"/subscriptions/{subscription}",
            "subscriptionId": subscription,
            "tenantId": arm.services.tenant_id,
            "displayName": "",
        },
        request={"apiVersion": api_version},
        policy={"assignmentId": policy.assignment["id"], "definitionId": policy.definition["id"]},
        now=arm.services.clock.now(),
    )


def apply(call: Call) -> None:
    """Changes and judges the request of a PUT or PATCH. Raises RequestDisallowedByPolicy."""
    type_ = call.resource_type
    assert type_ is not None
    in_force: InForce = call.arm.policies
    if not in_force.any() or type_.full_name.lower().startswith(LEFT_OUT) or not isinstance(call.body, dict):
        return
    resource = _asked(call, type_.full_name)
    policies = [p for p in in_force.policies(resource) if judged(p, resource)]
    held = [p for p in policies if p.enforced and not p.exemptions]
    for policy in [p for p in held if p.effect.lower() in ("append", "modify")]:
        _change(call, policy, resource)
    found = []
    for policy in [p for p in held if p.effect.lower() in ("deny", "audit")]:
        judge = Judge(resource, scope_of(call.arm, policy, resource, call.api_version))
        if _holds(judge, policy.rule["if"]):
            found.append((policy, judge.seen))
    if found:
        _remember(call, resource, [policy for policy, _ in found])
    if denied := [(policy, seen) for policy, seen in found if policy.effect.lower() == "deny"]:
        raise disallowed(resource, denied)


# Types that denyAction leaves alone, so that nobody is locked out (its documentation, DenyAction evaluation).
NEVER_KEPT = (
    "microsoft.authorization/policyassignments",
    "microsoft.authorization/denyassignments",
    "microsoft.authorization/locks",
    "microsoft.resources/deploymentstacks",
    "microsoft.resources/subscriptions",
)


def check_delete(call: Call) -> None:
    """Judges a DELETE: of a resource itself, and of the group that it is in. Raises RequestDisallowedByPolicy."""
    stored = call.current
    if stored is None:
        return
    found: list[tuple[Policy, list[Document]]] = []
    if stored.type == ids.GROUPS:
        for inner in call.arm.resources.below(stored.id):
            if inner.resource_id.parent is None and "location" in inner.body:
                found += _kept(call, document(inner), cascade=True)
    if stored.type.lower() not in NEVER_KEPT:
        found += _kept(call, document(stored), cascade=False)
    if found:
        raise disallowed(document(stored), found, "Deletion of resource")


def _kept(call: Call, resource: Document, *, cascade: bool) -> list[tuple[Policy, list[Document]]]:
    """The policies that keep a resource from being deleted; with its group where `cascade`."""
    out = []
    for policy in call.arm.policies.policies(resource):
        if (
            policy.effect.lower() != "denyaction"
            or not policy.enforced
            or policy.exemptions
            or not judged(policy, resource)
        ):
            continue
        scope = scope_of(call.arm, policy, resource, call.api_version)
        details = policy.rule["then"].get("details") or {}
        behaviour = expressions.resolve(details.get("cascadeBehaviors") or {}, scope)
        if cascade and str(behaviour.get("resourceGroup") or "").lower() != "deny":
            continue
        judge = Judge(resource, scope)
        if _holds(judge, policy.rule["if"]):
            out.append((policy, judge.seen))
    return out


def after(call: Call) -> None:
    """Notes, for a resource that was written, what DeployIfNotExists will have to look at in a while."""
    type_ = call.resource_type
    assert type_ is not None
    if type_.full_name.lower().startswith(LEFT_OUT):
        return
    stored = call.current
    if stored is None:
        return
    resource = document(stored)
    for policy in call.arm.policies.policies(resource):
        if policy.effect.lower() == "deployifnotexists" and policy.enforced and judged(policy, resource):
            from azsandbox.arm.policy import pending

            pending.note(call.arm, policy, resource)


def _remember(call: Call, resource: Document, policies: list[Policy]) -> None:
    """Keeps the events that PolicyInsights tells of."""
    from azsandbox.arm.policy import compliance, events

    now = timestamp(call.arm.services.clock)
    rows = [compliance.record(call.arm, policy, resource, "NonCompliant", now) for policy in policies]
    more = {"tenantId": call.arm.services.tenant_id, "principalOid": call.identity.object_id}
    events.add(call.arm, [{**row, **more} for row in rows])


def _holds(judge: Judge, condition: Document) -> bool:
    try:
        return judge.holds(condition)
    except expressions.ExpressionError:
        return False  # Azure's evaluation fails for the resource, which then is told of as an error, not as a match


def _asked(call: Call, type_: str) -> Document:
    """The resource as it would be after the request."""
    body = call.body
    current = call.current
    if call.method == "PATCH" and current is not None:
        body = merge(current.body, body)
    out = {**body, "id": str(call.id), "type": type_, "name": call.id.name}
    if isinstance(body.get("location"), str):
        out["location"] = call.arm.facts.location(body["location"])
    return out


def _change(call: Call, policy: Policy, resource: Document) -> None:
    scope = scope_of(call.arm, policy, resource, call.api_version)
    if not _holds(Judge(resource, scope), policy.rule["if"]):
        return
    for name, operation, value in changes(policy, resource, scope):
        for changed in (resource, {**call.body, "type": resource["type"]}):
            if operation == "remove":
                fields.drop(name, changed)
            else:
                fields.put(name, changed, value, only_missing=operation == "add")
            if changed is not resource:
                call.body = {key: inner for key, inner in changed.items() if key != "type" or "type" in call.body}


def changes(policy: Policy, resource: Document, scope: expressions.Scope) -> Iterator[tuple[str, str, Any]]:
    """Field, operation (add, addOrReplace, remove) and value of what append or modify does."""
    details = policy.rule["then"].get("details")
    Judge(resource, scope)  # gives the functions the fields of the resource
    if policy.effect.lower() == "append":
        for entry in details if isinstance(details, list) else []:
            yield str(expressions.resolve(entry["field"], scope)), "add", expressions.resolve(entry["value"], scope)
        return
    for entry in (details or {}).get("operations") or []:
        condition = entry.get("condition")
        if condition is not None and expressions.resolve(condition, scope) is not True:
            continue
        value = expressions.resolve(entry.get("value"), scope)
        yield str(expressions.resolve(entry["field"], scope)), str(entry["operation"]), value


def disallowed(
    resource: Document, found: list[tuple[Policy, list[Document]]], what: str = "Resource"
) -> errors.ArmError:
    """403 RequestDisallowedByPolicy, with all policies that forbid the request."""
    name = str(resource["name"])
    reasons = list(dict.fromkeys(p.message for p, _ in found if p.message))
    if reasons:
        listed = "','".join(reasons)
        text = f"Reasons: '{listed}'. See error details for policy resource IDs."
    else:
        listed = json.dumps([_identifiers(p) for p, _ in found], separators=(",", ":"), ensure_ascii=False)
        text = f"Policy identifiers: '{listed}'."
    info = [{"type": "PolicyViolation", "info": _info(policy, seen)} for policy, seen in found]
    return errors.ArmError(
        403,
        "RequestDisallowedByPolicy",
        f"{what} '{name}' was disallowed by policy. {text}",
        target=name,
        additional_info=info,
        gateway=True,
    )


def _named(body: Document) -> str:
    return str(body["properties"].get("displayName") or body["name"])


def _identifiers(policy: Policy) -> Document:
    out: Document = {
        "policyAssignment": {"name": _named(policy.assignment), "id": policy.assignment["id"]},
        "policyDefinition": {
            "name": _named(policy.definition),
            "id": policy.definition["id"],
            "version": version_of(policy.definition),
        },
    }
    if policy.initiative:
        out["policySetDefinition"] = {
            "name": _named(policy.initiative),
            "id": policy.initiative["id"],
            "version": version_of(policy.initiative),
        }
    return out


def _info(policy: Policy, seen: list[Document]) -> Document:
    evaluation: Document = {"evaluatedExpressions": seen}
    if policy.message:
        evaluation["reason"] = policy.message
    assignment, definition, initiative = policy.assignment, policy.definition, policy.initiative
    out: Document = {"evaluationDetails": evaluation, "policyDefinitionId": definition["id"]}
    if initiative:
        out |= {
            "policySetDefinitionId": initiative["id"],
            "policyDefinitionReferenceId": policy.reference,
            "policySetDefinitionName": initiative["name"],
            "policySetDefinitionDisplayName": _named(initiative),
            "policySetDefinitionVersion": version_of(initiative),
        }
    return out | {
        "policyDefinitionName": definition["name"],
        "policyDefinitionDisplayName": _named(definition),
        "policyDefinitionVersion": version_of(definition),
        "policyDefinitionEffect": policy.effect,
        "policyAssignmentId": assignment["id"],
        "policyAssignmentName": assignment["name"],
        "policyAssignmentDisplayName": _named(assignment),
        "policyAssignmentScope": assignment["properties"]["scope"],
        "policyAssignmentParameters": dict(assignment["properties"].get("parameters") or {}),
        "policyExemptionIds": [],
        "policyEnrollmentIds": [],
    }
