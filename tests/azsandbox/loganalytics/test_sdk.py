"""azure-monitor-query against a running sandbox."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryStatus

from tests.azsandbox.processes import Sandbox, running

DAY = dt.timedelta(days=1)


class Credential:
    """A token for whatever is asked."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        token = self.sandbox.token("--resource", scopes[0].removesuffix("/.default"))
        return AccessToken(token, int(dt.datetime.now(dt.UTC).timestamp()) + 3000)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LogsQueryClient, str]]:
    """The client, and the customer id of a workspace."""
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        env = sandbox.env()
        group = f"{env['arm_endpoint']}/subscriptions/{env['subscription_id']}/resourceGroups/rg-logs"
        options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {sandbox.token()}"}, "verify": env["ca"]}
        httpx.put(f"{group}?api-version=2025-04-01", json={"location": "westeurope"}, **options)
        workspace = f"{group}/providers/Microsoft.OperationalInsights/workspaces/logs-sdk?api-version=2023-09-01"
        made = httpx.put(workspace, json={"location": "westeurope", "properties": {}}, **options)
        endpoint = f"{env['arm_endpoint']}/v1"
        client = LogsQueryClient(Credential(sandbox), endpoint=endpoint, connection_verify=env["ca"])
        yield client, made.json()["properties"]["customerId"]


def test_a_table_has_columns_with_types_and_rows(asked: tuple[LogsQueryClient, str]) -> None:
    client, workspace = asked
    query = (
        "datatable(when: datetime, n: long, ok: bool, more: dynamic)[datetime(2026-01-02), 7, true, dynamic({'a': 1})]"
    )
    found = client.query_workspace(workspace, query, timespan=DAY)
    assert found.status == LogsQueryStatus.SUCCESS
    (table,) = found.tables
    assert table.columns == ["when", "n", "ok", "more"]
    assert table.columns_types == ["datetime", "long", "bool", "dynamic"]
    assert table.rows[0]["when"] == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert (table.rows[0]["n"], table.rows[0]["ok"], table.rows[0]["more"]) == (7, True, '{"a":1}')


def test_statistics_and_drawing_come_along(asked: tuple[LogsQueryClient, str]) -> None:
    client, workspace = asked
    query = "range n from 1 to 3 step 1 | render barchart"
    found = client.query_workspace(workspace, query, timespan=None, include_statistics=True, include_visualization=True)
    assert found.statistics["query"]["datasetStatistics"][0]["tableRowCount"] == 3
    assert found.visualization["visualization"] == "barchart"


def test_a_refused_query_is_an_error_with_the_services_words(asked: tuple[LogsQueryClient, str]) -> None:
    client, workspace = asked
    with pytest.raises(HttpResponseError) as refused:
        client.query_workspace(workspace, "Appquests | take 5", timespan=DAY)
    assert refused.value.status_code == 400
    assert refused.value.error.code == "BadArgumentError"
    assert "'take' operator: Failed to resolve table or column expression named 'Appquests'" in str(refused.value)


def test_several_queries_go_in_one_batch(asked: tuple[LogsQueryClient, str]) -> None:
    client, workspace = asked
    queries = ["Heartbeat | count", "completely invalid syntax", "print 'hello'"]
    batch = [LogsBatchQuery(query=q, timespan=DAY, workspace_id=workspace) for q in queries]
    first, second, third = client.query_batch(batch)
    assert first.tables[0].rows[0][0] == 0
    assert second.status == LogsQueryStatus.FAILURE
    assert third.tables[0].rows[0][0] == "hello"
