"""The query API: who may ask, what is answered, how it refuses."""

from __future__ import annotations

import httpx
import pytest

from azsandbox.loganalytics import rows as rows_of
from tests.azsandbox.loganalytics.conftest import ACR_PULL, CLUSTER, HOST, LOG_ANALYTICS_READER, Logs


async def test_rows_are_answered_with_the_types_of_their_columns(logs: Logs) -> None:
    logs.add("AKSAuditAdmin", {"Verb": "create", "ObjectRef": {"name": "a"}, "ResponseStatus": {"code": 201}})
    answer = await logs.query(
        "AKSAuditAdmin | where ResponseStatus.code == 201 | project Verb, ObjectRef, Type, TenantId"
    )
    table = answer.json()["tables"][0]
    assert table["name"] == "PrimaryResult"
    assert [c["type"] for c in table["columns"]] == ["string", "dynamic", "string", "string"]
    assert table["rows"] == [["create", '{"name":"a"}', "AKSAuditAdmin", logs.customer_id]]


async def test_a_timespan_limits_what_a_query_sees(logs: Logs) -> None:
    logs.add("AKSControlPlane", {"Message": "new"}, age=600)
    logs.add("AKSControlPlane", {"Message": "old"}, age=7200)
    text = "AKSControlPlane | project Message"
    assert await logs.cells(text) == [["old"], ["new"]]
    assert await logs.cells(text, timespan="PT1H") == [["new"]]
    assert await logs.cells(text, timespan="2001-01-01T00:00:00Z/2001-01-02T00:00:00Z") == []
    assert await logs.cells(text, timespan="2001-01-01/P100Y") == [["old"], ["new"]]
    assert (await logs.query(text, timespan="yesterday")).json()["error"]["code"] == "BadArgumentError"


async def test_get_asks_as_post_does(logs: Logs) -> None:
    path = f"/v1/workspaces/{logs.customer_id}/query"
    answer = await logs.send("GET", path, params={"query": "print x = 1", "timespan": "P1D"})
    assert answer.json()["tables"][0]["rows"] == [[1]]


async def test_metadata_tell_the_tables_of_a_workspace(logs: Logs) -> None:
    path = f"/v1/workspaces/{logs.customer_id}/metadata"
    for method in ("GET", "POST"):
        found = (await logs.send(method, path)).json()
        (heartbeat,) = [table for table in found["tables"] if table["name"] == "Heartbeat"]
        assert heartbeat["columns"][0] == {"name": "TenantId", "type": "string"}
        assert (heartbeat["id"], heartbeat["timespanColumn"]) == ("Heartbeat", "TimeGenerated")
        assert [(w["id"], w["name"]) for w in found["workspaces"]] == [(logs.customer_id, "logs-one")]
    refused = await logs.send("GET", path, who=logs.person("reader"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "InsufficientAccessError")


async def test_columns_of_azure_diagnostics_come_with_the_first_row(logs: Logs) -> None:
    text = "AzureDiagnostics | where log_s has 'x' | count"
    refused = (await logs.query(text)).json()["error"]["innererror"]["innererror"]
    assert refused["message"].endswith("Failed to resolve column or scalar expression named 'log_s'")
    logs.add("AzureDiagnostics", {"Category": "guard", "log_s": "x"})
    assert await logs.cells(text) == [[1]]


async def test_statistics_and_drawing_are_there_when_asked_for(logs: Logs) -> None:
    text = 'datatable(s: string, i: long)["a", 1] | render columnchart with (title="t", xtitle="x")'
    plain = (await logs.query(text)).json()
    assert set(plain) == {"tables"}
    full = (await logs.query(text, prefer="wait=30,include-statistics=true,include-render=true")).json()
    used = full["statistics"]["query"]
    assert used["datasetStatistics"] == [{"tableRowCount": 1, "tableSize": 2}]
    assert used["resourceUsage"]["cache"]["shards"]["hot"] == {"hitbytes": 0, "missbytes": 0, "retrievebytes": 0}
    assert used["resourceUsage"]["cpu"]["totalCpu"].startswith("00:00:0")
    assert used["inputDatasetStatistics"]["rows"] == {"total": 0, "scanned": 0}
    assert (full["render"]["visualization"], full["render"]["title"], full["render"]["xTitle"]) == (
        "columnchart",
        "t",
        "x",
    )
    assert full["render"]["isQuerySorted"] is False
    assert (full["render"]["yMin"], full["render"]["yMax"]) == ("NaN", "NaN")


async def test_statistics_count_the_rows_that_were_read(logs: Logs) -> None:
    logs.add("Heartbeat", {"Computer": "n1"}, {"Computer": "n2"})
    answer = (await logs.query("Heartbeat | take 1", prefer="include-statistics=true")).json()
    assert answer["statistics"]["query"]["inputDatasetStatistics"]["rows"] == {"total": 2, "scanned": 2}


async def test_a_result_that_is_cut_says_so_beside_its_rows(logs: Logs) -> None:
    answer = await logs.query("set truncationmaxrecords=1; datatable (s: string) ['a', 'b']")
    assert answer.status_code == 200
    assert answer.json()["tables"][0]["rows"] == [["a"]]
    error = answer.json()["error"]
    assert error["code"] == "PartialError"
    assert error["details"][0]["innererror"] == {
        "code": "-2133196797",
        "message": "Query result set has exceeded the internal record count limit 1 (E_QUERY_RESULT_SET_TOO_LARGE; "
        "see https://aka.ms/kustoquerylimits)",
        "severity": 2,
        "severityName": "Error",
    }
    whole = (await logs.query("set truncationmaxrecords=2; datatable (s: string) ['a', 'b']")).json()
    assert "error" not in whole
    other = (await logs.query("set notruncation; print 1")).json()["error"]["innererror"]
    assert (other["code"], "'notruncation'" in other["message"]) == ("NotSupportedInSandbox", True)


async def test_a_query_that_takes_longer_than_the_client_waits_is_a_gateway_timeout(logs: Logs) -> None:
    answer = await logs.query("range a from 1 to 400000 step 1 | extend b = a | count", prefer="wait=0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "GatewayTimeout")
    assert answer.json()["error"]["innererror"] == {"code": "GatewayTimeout", "message": "ADX query timed out"}
    assert answer.headers["preference-applied"] == "wait=0"


async def test_reading_needs_a_role_on_the_workspace(logs: Logs) -> None:
    reader = logs.person("reader")
    logs.add("Heartbeat", {"Computer": "n1"})
    refused = await logs.query("Heartbeat | take 1", who=reader)
    assert refused.status_code == 403
    assert list(refused.json()["error"]) == ["message", "code", "correlationId"]
    assert refused.json()["error"]["code"] == "InsufficientAccessError"
    await logs.assign(reader, ACR_PULL, logs.id)
    assert (await logs.query("Heartbeat | take 1", who=reader)).status_code == 403
    await logs.arm(
        "DELETE",
        f"{logs.id}/providers/Microsoft.Authorization/roleAssignments/5a9d3c1e-7f42-4c1b-9d57-0e6b5f2a1c34",
        version="2022-04-01",
    )
    await logs.assign(reader, LOG_ANALYTICS_READER, logs.id)
    assert await logs.cells("Heartbeat | project Computer", who=reader) == [["n1"]]


async def test_a_workspace_without_public_queries_is_not_asked_from_outside(logs: Logs) -> None:
    body = {"location": "westeurope", "properties": {"publicNetworkAccessForQuery": "Disabled"}}
    await logs.arm("PUT", logs.id, body)
    refused = await logs.query("print 1")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (403, "InsufficientAccessError")
    assert error["innererror"]["code"] == "NspValidationFailedError"


async def test_tokens_workspaces_and_paths_are_checked(logs: Logs) -> None:
    wrong = await logs.query("print 1", audience="https://management.azure.com")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "InvalidTokenError")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(logs.host.dispatch)) as client:
        none = await client.post(f"{HOST}/v1/workspaces/{logs.customer_id}/query", json={"query": "print 1"})
    assert (none.status_code, none.json()["error"]["code"]) == (401, "AuthorizationRequiredError")
    assert f"login.microsoftonline.com/{logs.host.tenant_id}" in none.headers["www-authenticate"]
    missing = await logs.send("POST", "/v1/workspaces/5a9d3c1e-7f42-4c1b-9d57-0e6b5f2a1c34/query", {"query": "print 1"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "WorkspaceNotFoundError")
    nowhere = await logs.send("POST", "/v1/nothing", {"query": "print 1"})
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "PathNotFoundError")
    empty = await logs.send("POST", f"/v1/workspaces/{logs.customer_id}/query", {"timespan": "P1D"})
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "BadArgumentError")


@pytest.mark.parametrize(
    ("query", "outer", "code"),
    [
        ("completely invalid syntax", "SyntaxError", "SYN0002"),
        ("Nope | where a == 1", "SemanticError", "SEM0100"),
        ("Heartbeat | evaluate pivot(Computer)", "NotSupportedInSandbox", None),
    ],
)
async def test_a_query_that_is_refused_says_why_in_nested_errors(logs: Logs, query: str, outer: str, code: str) -> None:
    answer = await logs.query(query)
    assert answer.status_code == 400
    inner = answer.json()["error"]["innererror"]
    assert inner["code"] == outer
    assert (inner.get("innererror") or {}).get("code") == code


async def test_queries_can_be_asked_about_a_resource_and_through_resource_manager(logs: Logs) -> None:
    other = CLUSTER.replace("shop", "other")
    logs.add(
        "AKSAuditAdmin", {"Verb": "create", "_ResourceId": logs.id.lower()}, {"Verb": "delete", "_ResourceId": other}
    )
    found = await logs.arm("POST", f"{logs.id}/query", {"query": "AKSAuditAdmin | count"})
    assert found.json()["tables"][0]["rows"] == [[2]]
    answer = await logs.send("POST", f"/v1{logs.id}/query", {"query": "AKSAuditAdmin | count"})
    assert answer.json()["tables"][0]["rows"] == [[2]]
    network = f"{logs.group}/providers/Microsoft.Network/virtualNetworks/net"
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    await logs.arm("PUT", network, body, "2023-09-01")
    logs.add("AKSAuditAdmin", {"Verb": "patch", "_ResourceId": network.lower()})
    answer = await logs.send("POST", f"/v1{network}/query", {"query": "AKSAuditAdmin | project Verb"})
    assert answer.json()["tables"][0]["rows"] == [["patch"]]
    assert (await logs.send("POST", f"/v1{network}x/query", {"query": "print 1"})).status_code == 404


async def test_the_oldest_rows_give_way(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_of, "MOST_ROWS", 100)
    for number in range(150):
        logs.add("AKSControlPlane", {"Message": str(number)}, age=1000 - number)
    kept = await logs.cells("AKSControlPlane | summarize n = count(), last = max(tolong(Message))")
    assert kept[0][1] == 149
    assert 90 <= kept[0][0] <= 100
    monkeypatch.setattr(rows_of, "MOST_BYTES", 5000)
    logs.add("AKSControlPlane", {"Message": "x" * 100}, age=1)
    total = logs.host.state.connection.execute("SELECT SUM(size) FROM log_rows").fetchone()[0]
    assert total <= 5000


async def test_rows_go_when_their_workspace_keeps_them_no_longer(logs: Logs) -> None:
    logs.add("AKSControlPlane", {"Message": "old"}, age=40 * 86400)
    logs.add("AKSControlPlane", {"Message": "new"}, age=86400)
    ingestion = logs.host.arm.provider("Microsoft.OperationalInsights").ingestion(logs.host.arm)
    ingestion.expire({logs.customer_id: 30})
    assert await logs.cells("AKSControlPlane | project Message") == [["new"]]
    await logs.arm("DELETE", f"{logs.id}", version="2023-09-01")
    assert logs.rows.count(logs.customer_id, "AKSControlPlane") == 1
    await logs.make()
    assert await logs.cells("AKSControlPlane | count") == [[1]]  # it was recovered, with its rows
    ingestion.expire({})
    assert logs.rows.count(logs.customer_id, "AKSControlPlane") == 0
