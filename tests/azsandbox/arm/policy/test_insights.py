"""PolicyInsights: states after an evaluation, summaries, queries, events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from azsandbox.arm import Arm
from azsandbox.arm.policy import compliance, reports
from azsandbox.arm.providers.policyinsights import odata
from azsandbox.arm.resources import Stored
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client
from tests.azsandbox.arm.policy.test_assignments import LOCATIONS, NO_PRIVILEGE, RG, assign, group

STATES = "providers/Microsoft.PolicyInsights/policyStates/latest"
OLD = "2019-10-01"
CLUSTER = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks"


def network(arm: Arm, name: str, location: str) -> None:
    type_ = "Microsoft.Network/virtualNetworks"
    id_ = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{type_}/{name}"
    arm.resources.put(Stored(id_, type_, {"id": id_, "name": name, "location": location, "properties": {}}))


async def states(call: Client, scope: str = "~", query: str = "") -> list[dict[str, Any]]:
    answer = await call("POST", f"{scope}/{STATES}/queryResults{query}", version=OLD)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["value"])


async def test_an_evaluation_tells_how_resources_stand(call: Client) -> None:
    await group(call)
    network(call.arm, "north", "northeurope")
    network(call.arm, "west", "westeurope")
    held = await assign(
        call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]}, enforcementMode="DoNotEnforce"
    )
    assert await states(call) == []
    compliance.evaluate(call.arm)
    found = {s["resourceId"].rsplit("/", 1)[-1]: s for s in await states(call)}
    assert {n: s["complianceState"] for n, s in found.items()} == {"north": "Compliant", "west": "NonCompliant"}
    west = found["west"]
    assert (west["policyAssignmentId"], west["isCompliant"], west["policyDefinitionAction"]) == (
        held["id"].lower(),
        False,
        "deny",
    )
    assert west["resourceType"] == "Microsoft.Network/virtualNetworks"
    assert "policyEvaluationDetails" not in west
    detailed = await states(
        call, f"{RG}/providers/Microsoft.Network/virtualNetworks/west", "?$expand=PolicyEvaluationDetails"
    )
    assert detailed[0]["policyEvaluationDetails"]["evaluatedExpressions"][0]["operator"] == "NotIn"
    assert len(await states(call, held["id"])) == 2
    await call("DELETE", held["id"], version="2025-03-01")
    assert await states(call) == []


async def test_a_summary_counts_by_assignment_and_definition(call: Client) -> None:
    await group(call)
    network(call.arm, "north", "northeurope")
    network(call.arm, "west", "westeurope")
    held = await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]})
    compliance.evaluate(call.arm)
    answer = (await call("POST", f"{RG}/{STATES}/summarize", version=OLD)).json()
    (entry,) = answer["value"]
    assert entry["results"]["nonCompliantResources"] == 1
    assert entry["results"]["resourceDetails"] == [
        {"complianceState": "noncompliant", "count": 1},
        {"complianceState": "compliant", "count": 1},
    ]
    (assignment,) = entry["policyAssignments"]
    assert (assignment["policyAssignmentId"], assignment["results"]["nonCompliantPolicies"]) == (held["id"].lower(), 1)
    assert assignment["policyDefinitions"][0]["effect"] == "deny"
    assert f"PolicyAssignmentId%20eq%20'{held['id'].lower()}'" in assignment["results"]["queryResultsUri"]


async def test_exempt_resources_are_told_as_such(call: Client) -> None:
    await group(call)
    network(call.arm, "west", "westeurope")
    held = await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]})
    body = {"properties": {"policyAssignmentId": held["id"], "exemptionCategory": "Mitigated"}}
    await call("PUT", f"{RG}/providers/Microsoft.Authorization/policyExemptions/e", body, "2022-07-01-preview")
    compliance.evaluate(call.arm)
    assert [s["complianceState"] for s in await states(call)] == ["Exempt"]


async def test_audit_if_not_exists_looks_for_what_belongs_to_a_resource(call: Client) -> None:
    call.arm.services.clusters = SimpleNamespace(running=list, get=lambda _: None)  # logs are delivered from none
    await group(call)
    type_ = "Microsoft.ContainerService/managedClusters"
    call.arm.resources.put(
        Stored(CLUSTER, type_, {"id": CLUSTER, "name": "aks", "location": "westeurope", "properties": {}})
    )
    logs = "/providers/Microsoft.Authorization/policyDefinitions/245fc9df-fa96-4414-9a0b-3738c2f7341c"
    await assign(call, RG, logs)
    compliance.evaluate(call.arm)
    assert [s["complianceState"] for s in await states(call)] == ["NonCompliant"]
    setting = f"{CLUSTER}/providers/Microsoft.Insights/diagnosticSettings/logs"
    entry = {"category": "kube-audit", "enabled": True, "retentionPolicy": {"enabled": True, "days": 365}}
    body = {"id": setting, "name": "logs", "properties": {"logs": [entry]}}
    call.arm.resources.put(Stored(setting, "Microsoft.Insights/diagnosticSettings", body))
    compliance.evaluate(call.arm)
    assert [s["complianceState"] for s in await states(call)] == ["Compliant"]


async def test_clusters_stand_as_they_have_reported(call: Client) -> None:
    await group(call)
    type_ = "Microsoft.ContainerService/managedClusters"
    call.arm.resources.put(
        Stored(CLUSTER, type_, {"id": CLUSTER, "name": "aks", "location": "westeurope", "properties": {}})
    )
    held = await assign(call, RG, NO_PRIVILEGE)
    assert await states(call, CLUSTER) == []  # a cluster without the add-on tells nothing
    component = {
        "kind": "Pod",
        "name": "bad",
        "namespace": "default",
        "message": "Privileged container is not allowed: app",
    }
    row = {"assignment": held["id"], "definition": NO_PRIVILEGE, "reference": "", "constraint": "c"}
    row |= {"time": "2026-11-25T17:00:00Z", "total": 1, "components": [component]}
    reports.put(call.arm, CLUSTER, [row])
    assert [s["complianceState"] for s in await states(call, CLUSTER)] == ["NonCompliant"]
    path = f"{CLUSTER}/providers/Microsoft.PolicyInsights/componentPolicyStates/latest/queryResults"
    query = "?$filter=componentType eq 'pod' and componentId eq 'default/bad'&$expand=PolicyEvaluationDetails"
    (found,) = (await call("POST", path + query, version="2024-10-01")).json()["value"]
    assert (found["componentName"], found["policyEvaluationDetails"]["reason"]) == ("bad", component["message"])
    reports.put(call.arm, CLUSTER, [{**row, "total": 0, "components": []}])
    assert [s["complianceState"] for s in await states(call, CLUSTER)] == ["Compliant"]


async def test_denied_and_audited_requests_are_events(call: Client) -> None:
    await group(call)
    await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]})
    refused = await call(
        "PUT", f"{RG}/providers/Microsoft.Network/networkSecurityGroups/n", {"location": "westeurope"}, "2024-05-01"
    )
    assert refused.status_code == 403
    path = f"{RG}/providers/Microsoft.PolicyInsights/policyEvents/default/queryResults"
    events = (await call("POST", path, version=OLD)).json()
    assert (events["@odata.count"], events["value"][0]["policyDefinitionAction"]) == (1, "deny")


async def test_an_evaluation_on_demand_is_followed_to_its_end(arm: Arm) -> None:
    call = Client(arm)
    await group(call)
    network(arm, "west", "westeurope")
    await assign(call, RG, LOCATIONS, values={"listOfAllowedLocations": ["northeurope"]})
    await arm.start()
    started = await call("POST", f"{RG}/{STATES}/triggerEvaluation", version=OLD)
    assert (started.status_code, started.content) == (202, b"")
    running = await call.http.get(started.headers["Location"])
    assert (running.status_code, running.headers["x-ms-retry-after-ms"]) == (202, "50")
    ended = await call.done(started)
    assert (ended.status_code, ended.content) == (200, b"")
    assert [s["complianceState"] for s in await states(call)] == ["NonCompliant"]
    await arm.close()


ROWS = [
    {"timestamp": "2026-11-01T00:00:00Z", "name": "a", "isCompliant": False, "number": 3, "tags": ["x"]},
    {"timestamp": "2026-11-02T00:00:00Z", "name": "B", "isCompliant": True, "number": 1, "tags": [""]},
    {"timestamp": "2026-11-03T00:00:00Z", "name": "c", "isCompliant": False, "number": 2, "tags": ["x", "y"]},
]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["c", "B", "a"]),
        ({"$filter": "isCompliant eq false"}, ["c", "a"]),
        ({"$filter": "Name eq 'b' or (number gt 2 and not (name eq 'c'))"}, ["B", "a"]),
        ({"$filter": "'y' in tags"}, ["c"]),
        ({"$filter": "startswith(name, 'A')"}, ["a"]),
        ({"$orderby": "number desc"}, ["a", "c", "B"]),
        ({"$orderby": "isCompliant, number"}, ["c", "a", "B"]),
        ({"$top": "1"}, ["c"]),
        ({"$from": "2026-11-02T00:00:00Z"}, ["c", "B"]),
    ],
)
def test_records_are_queried(options: dict[str, str], names: list[str]) -> None:
    assert [r["name"] for r in odata.query(options, ROWS)] == names


def test_records_are_grouped_and_counted() -> None:
    options = {
        "$apply": "groupby((isCompliant), aggregate($count as n, number with sum as total))",
        "$orderby": "n desc",
    }
    assert odata.query(options, ROWS) == [
        {"isCompliant": False, "n": 2, "total": 5},
        {"isCompliant": True, "n": 1, "total": 1},
    ]
    chosen = odata.query({"$apply": "filter(number ge 2)/aggregate($count as n)", "$select": "n"}, ROWS)
    assert chosen == [{"n": 2}]


@pytest.mark.parametrize(
    "options", [{"$filter": "name eq"}, {"$filter": "(name eq 'a'"}, {"$apply": "sort(name)"}, {"$top": "x"}]
)
def test_a_query_that_cannot_be_read_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(Exception, match="InvalidQueryString"):
        odata.query(options, ROWS)


async def test_a_reader_may_ask_how_resources_stand_and_not_start_an_evaluation(call: Client) -> None:
    reader = call.arm.services.entra.directory.create_service_principal("reader").object_id
    role = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    body = {"properties": {"roleDefinitionId": role, "principalId": reader}}
    name = "11111111-2222-3333-4444-555555555555"
    await call("PUT", f"~/providers/Microsoft.Authorization/roleAssignments/{name}", body, "2022-04-01")
    asked = Client(call.arm, reader)
    assert (await asked("POST", f"~/{STATES}/summarize", version=OLD)).status_code == 200
    refused = await asked("POST", f"~/{STATES}/triggerEvaluation", version=OLD)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "AuthorizationFailed")


async def test_states_are_asked_for_by_post_alone(call: Client) -> None:
    assert (await call("GET", "~/providers/Microsoft.PolicyInsights/policyStates", version=OLD)).status_code == 405
    wrong = await call("POST", "~/providers/Microsoft.PolicyInsights/policyStates/oldest/queryResults", version=OLD)
    assert wrong.status_code == 400
