"""runCommand: kubectl in a cluster by way of Resource Manager, as whom its token says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from azsandbox.aks.access import SERVER_APP
from tests.azsandbox.aks.access.conftest import CLUSTER_ADMIN, Lab, arrived


def asked(lab: Lab, command: str, name: str = "shop", **body: str) -> httpx.Response:
    return lab.arm("POST", f"{lab.id(name)}/runCommand", {"command": command, "context": "", **body})


def ended(lab: Lab, accepted: httpx.Response) -> dict[str, Any]:
    """The properties of a command's result, once there is one."""
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + 60
    headers = {"Authorization": f"Bearer {lab.token('learner')}"}
    while (answer := lab._http.get(accepted.headers["location"], headers=headers)).status_code == 202:
        assert answer.json()["properties"]["provisioningState"] == "Running"  # az reads the state in the body
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found: dict[str, Any] = answer.json()["properties"]
    assert (found["provisioningState"], answer.json()["id"]) == (
        "Succeeded",
        accepted.headers["location"].partition("/commandResults/")[2].partition("?")[0],
    )
    return found


def test_a_command_runs_as_whom_its_token_says(lab: Lab) -> None:
    refused = ended(lab, asked(lab, "kubectl get nodes", clusterToken=lab.token("auditor", SERVER_APP)))
    assert refused["exitCode"] == 1
    assert f'User "{lab.user("auditor")}" cannot list resource "nodes"' in refused["logs"]
    path = lab.assign("auditor", CLUSTER_ADMIN, lab.cluster)
    arrived(lab.api("auditor"), verb="list", resource="nodes")
    found = ended(lab, asked(lab, "kubectl get nodes -o name", clusterToken=lab.token("auditor", SERVER_APP)))
    lab.drop(path)
    assert (found["exitCode"], found["logs"][:13]) == (0, "node/aks-syst")


def test_a_cluster_with_entra_id_asks_for_a_token(lab: Lab) -> None:
    refused = asked(lab, "kubectl get nodes")
    assert (refused.status_code, refused.json()["target"]) == (400, "clusterToken")


def test_a_command_reads_no_file_and_no_variable_of_this_machine(lab: Lab, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("kept-for-me-alone")
    token = lab.token("learner", SERVER_APP)
    for command in (f"kubectl create configmap c --from-file={canary}", f"kubectl apply -f {canary}"):
        refused = asked(lab, command, clusterToken=token)
        assert (refused.status_code, "a command has none here" in refused.text) == (501, True)


def test_a_cluster_without_entra_id_takes_commands_as_the_administrator(lab: Lab) -> None:
    lab.make("simple")
    found = ended(lab, asked(lab, "kubectl auth can-i '*' '*' -A", "simple"))
    assert (found["exitCode"], found["logs"]) == (0, "yes\n")
    shell = asked(lab, "kubectl get pods | wc -l", "simple")
    assert (shell.status_code, "runCommand" in shell.text) == (501, True)
    lab.arm("DELETE", lab.id("simple"))
