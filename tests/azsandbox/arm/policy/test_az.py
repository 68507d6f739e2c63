"""The stock Azure CLI on policy, for whoever has one: put `az` on the PATH (`pip install azure-cli` in a venv)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azsandbox.processes import running
from tests.azsandbox.registry.test_az import Az

pytestmark = [
    pytest.mark.skipif(shutil.which("az") is None, reason="the Azure CLI is not on PATH"),
    pytest.mark.timeout(900),
]

LOCATIONS = "e56962a6-4747-49cd-b67b-bf8b01975c4c"
PRIVILEGED = "95edb821-ddaf-4404-9732-666045e056b4"


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Az]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        found = Az(sandbox)
        found("group create -n rg -l westeurope")
        yield found


def test_definitions_are_listed_shown_and_made(az: Az) -> None:
    listed = az("policy definition list")
    assert {d["policyType"] for d in listed} == {"BuiltIn"}
    assert az(f"policy definition show -n {PRIVILEGED}")["mode"] == "Microsoft.Kubernetes.Data"
    rule = {"if": {"field": "location", "notIn": "[parameters('places')]"}, "then": {"effect": "deny"}}
    parameters = {"places": {"type": "Array"}}
    made = az(
        "policy definition create -n places --mode Indexed --rules",
        json.dumps(rule),
        "--params",
        json.dumps(parameters),
    )
    assert made["policyType"] == "Custom"
    assert az("policy set-definition list")
    az("policy definition delete -n places")


def test_an_assignment_denies_is_listed_summarized_and_deleted(az: Az) -> None:
    az("network nsg create -g rg -n here -l westeurope")
    values = json.dumps({"listOfAllowedLocations": {"value": ["northeurope"]}})
    held = az(f"policy assignment create -n north -g rg --policy {LOCATIONS} --params", values)
    assert held["scope"].endswith("/resourceGroups/rg")
    assert [a["name"] for a in az("policy assignment list -g rg")] == ["north"]
    refused = az.run("network nsg create -g rg -n there -l westeurope")
    assert "RequestDisallowedByPolicy" in refused.stderr
    az("policy state trigger-scan -g rg")
    assert az("policy state summarize -g rg")["results"]["nonCompliantResources"] == 1
    assert [s["complianceState"] for s in az("policy state list -g rg")] == ["NonCompliant"]
    az("policy assignment delete -n north -g rg")
    assert az("policy assignment list -g rg") == []


def test_the_add_on_is_switched_on_and_off(az: Az) -> None:
    az("aks create -g rg -n aks --node-count 1 --no-ssh-key --node-vm-size Standard_D4ds_v5")
    on = az("aks enable-addons -g rg -n aks --addons azure-policy")
    assert on["addonProfiles"]["azurepolicy"]["enabled"]
    off = az("aks disable-addons -g rg -n aks --addons azure-policy")
    assert not off["addonProfiles"]["azurepolicy"]["enabled"]


def test_what_is_missing_is_deployed_by_a_remediation(az: Az, tmp_path: Path) -> None:
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"name": {"type": "string"}},
        "resources": [
            {
                "type": "Microsoft.Network/virtualNetworks",
                "apiVersion": "2024-05-01",
                "name": "[parameters('name')]",
                "location": "[resourceGroup().location]",
                "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}},
            }
        ],
        "outputs": {"id": {"type": "string", "value": "[resourceId(resourceGroup().name, 'a/b', 'c')]"}},
    }
    file = tmp_path / "net.json"
    file.write_text(json.dumps(template))
    made = az("deployment group create -g rg -n net --parameters name=net --template-file", str(file))
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert [r["id"].rsplit("/", 1)[-1] for r in made["properties"]["outputResources"]] == ["net"]
    assert [o["properties"]["provisioningState"] for o in az("deployment operation group list -g rg -n net")] == [
        "Succeeded"
    ]
    tag = "4f9dc7db-30c1-420c-b61a-e1d640128d26"
    values = {"tagName": {"value": "team"}, "tagValue": {"value": "blue"}}
    group = az("group show -n rg")["id"]
    held = az(
        f"policy assignment create -n tag -g rg --policy {tag} --mi-system-assigned --location westeurope "
        f"--role Contributor --identity-scope {group} -p",
        json.dumps(values),
    )
    assert held["identity"]["type"] == "SystemAssigned"
    az("policy state trigger-scan -g rg")
    az("policy remediation create -n tag -g rg -a tag")
    for _ in range(60):
        if (task := az("policy remediation show -n tag -g rg"))["provisioningState"] in ("Succeeded", "Failed"):
            break
    assert task["deploymentStatus"]["successfulDeployments"] == 1, task
    assert az("network vnet show -g rg -n net")["tags"] == {"team": "blue"}
