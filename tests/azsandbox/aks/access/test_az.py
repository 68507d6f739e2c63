"""The stock Azure CLI on access, for whoever has one: put `az` on the PATH (`pip install azure-cli` in a venv)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azsandbox.aks.access.conftest import REFUSED
from tests.azsandbox.processes import running
from tests.azsandbox.registry.test_az import Az

pytestmark = [
    pytest.mark.skipif(shutil.which("az") is None, reason="the Azure CLI is not on PATH"),
    pytest.mark.timeout(900),
]
GROUP = "rg-az-access"


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Az]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        found = Az(sandbox)
        found(f"group create -n {GROUP} -l westeurope")
        yield found


def test_roles_are_assigned_listed_and_taken_back(az: Az) -> None:
    scope = f"/subscriptions/{az.sandbox.env()['subscription_id']}/resourceGroups/{GROUP}"
    dev = az.sandbox.env()["personas"]["developer"]["user"]
    made = az("role assignment create --role Reader --assignee", dev, "--scope", scope)
    assert (made["principalType"], made["scope"]) == ("User", scope)
    rows = az("role assignment list --assignee", dev, "--scope", scope)
    assert [(r["principalName"], r["roleDefinitionName"]) for r in rows] == [(dev, "Reader")]
    assert az("role assignment create --role Reader --assignee", dev, "--scope", scope)["id"] == made["id"]
    az("role assignment delete --role Reader --assignee", dev, "--scope", scope)
    assert az("role assignment list --assignee", dev, "--scope", scope) == []


def test_a_role_of_ones_own(az: Az, tmp_path: Path) -> None:
    """The example of the AKS documentation."""
    (builtin,) = az("role definition list --name", "Azure Kubernetes Service RBAC Reader")
    assert "Microsoft.ContainerService/managedClusters/pods/read" in builtin["permissions"][0]["dataActions"]
    role = {
        "Name": "AKS Deployment Reader",
        "Description": "Lets you view all deployments in cluster/namespace.",
        "Actions": [],
        "NotActions": [],
        "DataActions": ["Microsoft.ContainerService/managedClusters/apps/deployments/read"],
        "NotDataActions": [],
        "assignableScopes": [f"/subscriptions/{az.sandbox.env()['subscription_id']}"],
    }
    file = tmp_path / "deploy-view.json"
    file.write_text(json.dumps(role))
    made = az("role definition create --role-definition", f"@{file}")
    assert (made["roleName"], made["roleType"]) == ("AKS Deployment Reader", "CustomRole")
    (found,) = az("role definition list --custom-role-only true --name", "AKS Deployment Reader")
    assert found["permissions"][0]["dataActions"] == role["DataActions"]
    wrong = {**role, "Name": "Wrong", "DataActions": ["Microsoft.ContainerService/managedClusters/pods/log/read"]}
    file.write_text(json.dumps(wrong))
    refused = az.run("role definition create --role-definition", f"@{file}")
    assert refused.returncode
    assert "(InvalidDataActionOrNotDataAction)" in refused.stderr
    az("role definition delete --name", "AKS Deployment Reader")


def test_groups_of_the_directory(az: Az) -> None:
    made = az("ad group create --display-name ops --mail-nickname ops")
    assert az("ad group show --group ops")["id"] == made["id"]
    rita = az.sandbox.env()["personas"]["reader"]["object_id"]
    az("ad group member add --group ops --member-id", rita)
    assert [m["id"] for m in az("ad group member list --group ops")] == [rita]


def test_a_cluster_without_local_accounts(az: Az, tmp_path: Path) -> None:
    az(f"aks create -g {GROUP} -n shop --node-count 1 --no-ssh-key --enable-aad --enable-azure-rbac")
    file = tmp_path / "kubeconfig"
    az.run(f"aks get-credentials -g {GROUP} -n shop --admin --file", str(file))
    nodes = az.sandbox.run("exec", "--", "kubectl", "--kubeconfig", str(file), "get", "nodes", check=False)
    assert "Ready" in nodes.stdout, nodes.stderr
    assert az(f"aks update -g {GROUP} -n shop --disable-local-accounts")["disableLocalAccounts"] is True
    refused = az.run(f"aks get-credentials -g {GROUP} -n shop --admin --file", str(tmp_path / "none"))
    assert refused.returncode == 1
    assert "(BadRequest) Getting static credential is not allowed" in refused.stderr
    az(f"aks rotate-certs -g {GROUP} -n shop --yes")
    nodes = az.sandbox.run("exec", "--", "kubectl", "--kubeconfig", str(file), "get", "nodes", check=False)
    assert nodes.returncode == 1
    user = tmp_path / "user"
    az.run(f"aks get-credentials -g {GROUP} -n shop --file", str(user))
    token = az.sandbox.token("--resource", "6dae42f8-4368-4678-94ff-3960e28e3630")
    command = ["kubectl", "--kubeconfig", str(user), "--token", token, "get", "nodes"]
    asked = az.sandbox.run("exec", "--", *command, check=False)
    assert REFUSED in asked.stderr


def test_a_command_is_invoked_in_a_cluster(az: Az) -> None:
    az(f"aks create -g {GROUP} -n plain --node-count 1 --no-ssh-key")
    found = az(f"aks command invoke -g {GROUP} -n plain -o json --command", "kubectl get nodes -o name")
    assert (found["exitCode"], found["provisioningState"]) == (0, "Succeeded")
    assert found["logs"].startswith("node/aks-nodepool1-")
