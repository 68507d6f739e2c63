"""How resources stand with the policies that hold for them.

Resource Manager's policies are judged in an evaluation, of which there is one after changes and one when it is asked
for; those in clusters are as the add-on last reported. Records have the form of PolicyInsights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.arm import ids
from azsandbox.arm.policy import expressions, reports
from azsandbox.arm.policy.built_in import KUBERNETES
from azsandbox.arm.policy.conditions import Judge
from azsandbox.arm.policy.definitions import version_of
from azsandbox.arm.policy.enforcement import LEFT_OUT, scope_of
from azsandbox.arm.policy.in_force import Policy, document, judged, over
from azsandbox.arm.resources import Document, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

COLLECTION, KEY = "evaluations", "last"
ATTESTATIONS, ATTESTED = "Microsoft.PolicyInsights/attestations", ("Compliant", "NonCompliant", "Unknown")
IF_NOT_EXISTS = ("auditifnotexists", "deployifnotexists")
_FIRST = ("type", "name", "kind")  # fields by which a rule says what it is about ("Azure Policy applicability logic")


def evaluate(arm: Arm) -> None:
    """Judges every resource by every policy of Resource Manager, and keeps the outcome."""
    found: list[Document] = []
    if arm.policies.any():
        for stored in arm.resources.all():
            if not stored.type.lower().startswith(LEFT_OUT):
                found += _judged(arm, document(stored))
        found += _judged(arm, _subscription(arm))
    reports.bucket(arm).put(COLLECTION, KEY, orjson.dumps(found))


def records(arm: Arm, scope: str) -> list[Document]:
    """The last records about resources at a scope and below it, whose assignments still hold."""
    kept = reports.bucket(arm).get(COLLECTION, KEY)
    rows: list[Document] = orjson.loads(kept.value) if kept else []
    holding = {a["id"].lower() for s in {r["resourceId"] for r in rows} for a in arm.policies.assignments(s)}
    rows = [r for r in rows if r["policyAssignmentId"] in holding and _there(arm, r["resourceId"])]
    return [r for r in [*rows, *_clusters(arm)] if ids.within(r["resourceId"], scope)]


def components(arm: Arm, scope: str) -> list[Document]:
    """What in clusters breaks a policy, an object a row."""
    out = []
    for cluster, policy, row in _reported(arm):
        for component in row["components"] if ids.within(cluster["id"], scope) else []:
            name, namespace = component["name"], component["namespace"]
            base = record(arm, policy, cluster, "NonCompliant", row["time"])
            kept = (
                "timestamp",
                "resourceId",
                "policyAssignmentId",
                "policyDefinitionId",
                "subscriptionId",
                "resourceType",
                "resourceLocation",
                "resourceGroup",
                "policyAssignmentName",
                "policyAssignmentOwner",
                "policyAssignmentParameters",
                "policyAssignmentScope",
                "policyDefinitionName",
                "policyDefinitionAction",
                "policyDefinitionCategory",
                "policySetDefinitionId",
                "policySetDefinitionName",
                "policySetDefinitionOwner",
                "policySetDefinitionCategory",
                "policySetDefinitionParameters",
                "policyDefinitionReferenceId",
                "policyDefinitionGroupNames",
                "policyDefinitionVersion",
                "policySetDefinitionVersion",
                "policyAssignmentVersion",
            )
            out.append(
                {
                    "timestamp": base["timestamp"],
                    "componentId": f"{namespace}/{name}" if namespace else name,
                    "componentName": name,
                    "componentType": component["kind"].lower(),
                    "complianceState": "NonCompliant",
                    **{key: base[key] for key in kept},
                    "complianceReasonCode": "",
                    "policyEvaluationDetails": {"reason": component["message"]},
                }
            )
    return out


# --- Resource Manager's


def _subscription(arm: Arm) -> Document:
    id_ = f"/subscriptions/{arm.services.subscription_id}"
    return {"id": id_, "type": ids.SUBSCRIPTIONS, "name": arm.services.subscription_id, "properties": {}}


def _judged(arm: Arm, resource: Document) -> Iterator[Document]:
    for policy in arm.policies.policies(resource):
        if not judged(policy, resource):
            continue
        state, seen = _state(arm, policy, resource)
        if state:
            now = timestamp(arm.services.clock)
            yield record(arm, policy, resource, state, now) | {
                "policyEvaluationDetails": {"evaluatedExpressions": seen}
            }


def _state(arm: Arm, policy: Policy, resource: Document) -> tuple[str, list[Document]]:
    """The state, "" where the policy is not about the resource, and what was evaluated."""
    judge = Judge(resource, scope_of(arm, policy, resource))
    try:
        if not applies(policy.rule["if"], judge):
            return "", []
        judge.seen.clear()
        matched = judge.holds(policy.rule["if"])
        if policy.effect.lower() in IF_NOT_EXISTS:
            if not matched:
                return "", []
            matched = not exists(arm, policy, resource)
        elif policy.effect.lower() == "manual":
            state = _attested(arm, policy, resource) if matched else ""
            return ("Exempt" if state and policy.exemptions else state), judge.seen
        elif policy.effect.lower() == "denyaction":
            return ("Protected" if matched else ""), judge.seen
    except expressions.ExpressionError:
        return "Error", judge.seen
    if policy.exemptions:
        return "Exempt", judge.seen
    return ("NonCompliant" if matched else "Compliant"), judge.seen


def _attested(arm: Arm, policy: Policy, resource: Document) -> str:
    """What somebody has attested of a resource, while it holds, else the state that the rule begins with."""
    now = arm.services.clock.now()
    for stored in arm.resources.children(str(resource["id"]), ATTESTATIONS):
        told = stored.properties
        same = ids.same(told["policyAssignmentId"], policy.assignment["id"]) and ids.same(
            str(told.get("policyDefinitionReferenceId") or ""), policy.reference
        )
        if (
            same
            and ids.same(stored.resource_id.scope, str(resource["id"]))
            and told.get("complianceState")
            and not over(told.get("expiresOn"), now)
        ):
            return str(told["complianceState"])
    details = policy.rule["then"].get("details") or {}
    asked = expressions.resolve(details.get("defaultState"), scope_of(arm, policy, resource))
    asked = str(asked or "Unknown").replace("-", "").lower()
    return next((s for s in ATTESTED if s.lower() == asked), "Unknown")


def applies(condition: Document, judge: Judge, *, negated: bool = False) -> bool:
    """Whether a rule is about a resource: what it says of type, name and kind counts, all else is taken to hold."""
    for key, inner in condition.items():
        word = key.lower()
        if word == "allof":
            return all(applies(c, judge, negated=negated) for c in inner)
        if word == "anyof":
            return any(applies(c, judge, negated=negated) for c in inner)
        if word == "not":
            return not applies(inner, judge, negated=not negated)
    field = next((v for k, v in condition.items() if k.lower() == "field"), None)
    return judge.holds(condition) if isinstance(field, str) and field.lower() in _FIRST else not negated


def exists(arm: Arm, policy: Policy, resource: Document) -> bool:
    """Whether the related resource that AuditIfNotExists or DeployIfNotExists asks for is there."""
    scope = scope_of(arm, policy, resource)
    Judge(resource, scope)  # gives field() the resource
    known = ("type", "name", "existenceScope", "resourceGroupName")
    details = {k: v for k, v in policy.rule["then"]["details"].items() if k in known}
    details = expressions.resolve(details, scope)
    condition = policy.rule["then"]["details"].get("existenceCondition")
    where = str(resource["id"])
    wide = str(details.get("existenceScope") or "").lower()
    if wide == "subscription":
        where = f"/subscriptions/{arm.services.subscription_id}"
    elif details.get("resourceGroupName"):
        where = str(ids.group(arm.services.subscription_id, str(details["resourceGroupName"])))
    elif wide == "resourcegroup":
        where = "/".join(where.split("/")[:5])
    found = arm.resources.below(where, str(details["type"]))
    own = arm.resources.get(where)
    if own is not None and own.type.lower() == str(details["type"]).lower():
        found.append(own)  # a rule may ask of the resource itself, by its name
    for stored in found:
        body = document(stored)
        if details.get("name") and str(body["name"]).lower() != str(details["name"]).lower():
            continue
        if condition is None:
            return True
        inner = scope_of(arm, policy, resource)
        if Judge(body, inner).holds(condition):
            return True
    return False


# --- clusters'


def _reported(arm: Arm) -> Iterator[tuple[Document, Policy, Document]]:
    """Cluster, policy and the row that the cluster last told of it, of those that still hold."""
    for kept in reports.bucket(arm).list(reports.COLLECTION):
        stored = arm.resources.get(kept.key)
        if stored is None:
            continue
        cluster = document(stored)
        rows = {
            (r["assignment"].lower(), r["reference"].lower(), r["definition"].lower()): r
            for r in orjson.loads(kept.value)
        }
        for policy in arm.policies.policies(cluster):
            key = (policy.assignment["id"].lower(), policy.reference.lower(), policy.definition["id"].lower())
            if policy.mode == KUBERNETES and key in rows:
                yield cluster, policy, rows[key]


def _clusters(arm: Arm) -> list[Document]:
    out = []
    for cluster, policy, row in _reported(arm):
        state = "Exempt" if policy.exemptions else "NonCompliant" if row["total"] else "Compliant"
        out.append(record(arm, policy, cluster, state, row["time"]))
    return out


# --- records


def _there(arm: Arm, id_: str) -> bool:
    return id_.count("/") == 2 or arm.resources.get(id_) is not None


def record(arm: Arm, policy: Policy, resource: Document, state: str, time: str) -> Document:
    """A record of policyStates."""
    assignment, definition, initiative = policy.assignment, policy.definition, policy.initiative
    id_ = str(resource["id"])
    parts = id_.split("/")
    group = parts[4].lower() if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""
    given = assignment["properties"].get("parameters")
    category = ((initiative or definition)["properties"].get("metadata") or {}).get("category")
    return {
        "timestamp": time,
        "resourceId": id_.lower(),
        "policyAssignmentId": assignment["id"].lower(),
        "policyDefinitionId": definition["id"].lower(),
        "effectiveParameters": "",
        "isCompliant": state != "NonCompliant",
        "subscriptionId": arm.services.subscription_id,
        "resourceType": str(resource["type"]),
        "resourceLocation": str(resource.get("location") or ""),
        "resourceGroup": group,
        "resourceTags": "tbd",
        "policyAssignmentName": assignment["name"],
        "policyAssignmentOwner": "tbd",
        "policyAssignmentParameters": json.dumps(given, separators=(",", ":")) if given else "",
        "policyAssignmentScope": assignment["properties"]["scope"],
        "policyDefinitionName": definition["name"],
        "policyDefinitionAction": policy.effect.lower(),
        "policyDefinitionCategory": "tbd",
        "policySetDefinitionId": initiative["id"] if initiative else "",
        "policySetDefinitionName": initiative["name"] if initiative else "",
        "policySetDefinitionOwner": "",
        "policySetDefinitionCategory": str(category or "").lower() if initiative else "",
        "policySetDefinitionParameters": "",
        "managementGroupIds": "",
        "policyDefinitionReferenceId": policy.reference.lower(),
        "complianceState": state,
        "policyDefinitionGroupNames": list(policy.groups) or [""],
        "policyDefinitionVersion": version_of(definition),
        "policySetDefinitionVersion": version_of(initiative) if initiative else "",
        "policyAssignmentVersion": "",
        "complianceReasonCode": "",
    }


def at(records_: list[Document], scope: str) -> list[Document]:
    """Those that a scope of policy is about: an assignment, a definition, an initiative."""
    found = re.search(
        r"/providers/microsoft\.authorization/(policyassignments|policydefinitions|policysetdefinitions)/[^/]+$",
        scope,
        re.IGNORECASE,
    )
    if not found:
        return records_
    key = {
        "policyassignments": "policyAssignmentId",
        "policydefinitions": "policyDefinitionId",
        "policysetdefinitions": "policySetDefinitionId",
    }[found[1].lower()]
    name = scope.rsplit("/", 1)[-1].lower()
    exact = scope.lower()

    def fits(value: Any) -> bool:
        text = str(value).lower()
        built_in = text.startswith("/providers/") and text.rsplit("/", 1)[-1] == name
        return text == exact or (built_in and key != "policyAssignmentId")

    return [r for r in records_ if fits(r[key])]
