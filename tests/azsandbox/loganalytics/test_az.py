"""The stock Azure CLI on diagnostic settings and logs, for whoever has one: put `az` on the PATH.

`az monitor log-analytics query` is an extension, which comes from the network; without it `az rest` asks the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.azsandbox.processes import Sandbox, running

pytestmark = [
    pytest.mark.skipif(shutil.which("az") is None, reason="the Azure CLI is not on PATH"),
    pytest.mark.timeout(900),
]
LOGS = [{"category": name, "enabled": True} for name in ("kube-audit-admin", "guard", "kube-controller-manager")]


class Az:
    """az in the sandbox's environment."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def __call__(self, command: str, *more: str) -> Any:
        done = self.run(command, *more)
        assert done.returncode == 0, f"az {command}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def run(self, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        return self.sandbox.run("exec", "--", "az", *command.split(), *more, check=False, timeout=300)

    def query(self, workspace: str, kql: str) -> list[list[Any]]:
        """The rows of a query, by the extension where it is installed."""
        command = f"monitor log-analytics query --workspace {workspace} --timespan PT1H --analytics-query"
        done = self.run(command, kql)
        if done.returncode == 0:
            return [list(row.values()) for row in json.loads(done.stdout)]
        address = f"https://api.loganalytics.io/v1/workspaces/{workspace}/query"
        body = json.dumps({"query": kql, "timespan": "PT1H"})
        answer = self("rest --method post --resource https://api.loganalytics.io --url", address, "--body", body)
        found: list[list[Any]] = answer["tables"][0]["rows"]
        return found


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Az]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        yield Az(sandbox)


def test_a_setting_is_made_listed_shown_and_its_rows_are_asked_for(az: Az) -> None:
    az("group create -n rg-logs -l westeurope")
    workspace = az("monitor log-analytics workspace create -g rg-logs -n logs-az --retention-time 30")
    cluster = az("aks create -g rg-logs -n shop --node-count 1 --no-ssh-key --enable-aad --enable-azure-rbac")
    where = f"--resource {cluster['id']}"
    made = az(
        f"monitor diagnostic-settings create -n all {where} --workspace {workspace['id']} "
        "--export-to-resource-specific true --logs",
        json.dumps(LOGS),
        "--metrics",
        json.dumps([{"category": "AllMetrics", "enabled": True}]),
    )
    assert (made["name"], made["logAnalyticsDestinationType"]) == ("all", "Dedicated")
    listed = az(f"monitor diagnostic-settings list {where}")
    assert [s["name"] for s in listed] == ["all"]
    shown = az(f"monitor diagnostic-settings show -n all {where}")
    assert [entry["category"] for entry in shown["logs"]] == [entry["category"] for entry in LOGS]
    rows: list[list[Any]] = []
    deadline = time.monotonic() + 60
    while not (rows and rows[0][0]) and time.monotonic() < deadline:
        rows = az.query(workspace["customerId"], "AKSAuditAdmin | summarize n = count()")
    assert rows[0][0] > 0
    az(f"monitor diagnostic-settings delete -n all {where}")
    assert az(f"monitor diagnostic-settings list {where}") == []
