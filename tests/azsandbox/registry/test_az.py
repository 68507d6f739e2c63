"""The stock Azure CLI on registries and Defender, for whoever has one: put `az` on the PATH (`pip install azure-cli` in a venv)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azsandbox.processes import Sandbox, running

pytestmark = [
    pytest.mark.skipif(shutil.which("az") is None, reason="the Azure CLI is not on PATH"),
    pytest.mark.timeout(900),
]


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


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Az]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        found = Az(sandbox)
        found("group create -n rg-acr -l westeurope")
        yield found


def test_a_registry_from_its_name_to_its_end(az: Az) -> None:
    assert az("acr check-name -n labaz")["nameAvailable"]
    made = az("acr create -g rg-acr -n labaz --sku Premium --admin-enabled true")
    assert (made["loginServer"], made["provisioningState"]) == ("labaz.azurecr.io", "Succeeded")
    assert az("acr check-name -n labaz")["reason"] == "AlreadyExists"
    assert az("acr update -n labaz --anonymous-pull-enabled true")["anonymousPullEnabled"]
    policy = az("acr config retention update -r labaz --status enabled --days 30 --type UntaggedManifests")
    assert (policy["days"], policy["status"]) == (30, "enabled")
    before = az("acr credential show -n labaz")
    after = az("acr credential renew -n labaz --password-name password2")
    values = [[p["value"] for p in found["passwords"]] for found in (before, after)]
    assert (values[0][0] == values[1][0], values[0][1] == values[1][1]) == (True, False)
    assert {row["name"] for row in az("acr show-usage -n labaz")["value"]} >= {"Size", "Webhooks"}
    login = az("acr login -n labaz --expose-token")
    assert login["loginServer"] == "labaz.azurecr.io"
    assert login["accessToken"].count(".") == 2
    assert [r["name"] for r in az("acr list -g rg-acr")] == ["labaz"]


def test_images_and_charts_are_imported_and_listed(az: Az) -> None:
    az("acr create -g rg-acr -n labimages --sku Standard")
    az("acr import -n labimages --source mcr.microsoft.com/azuredocs/aks-helloworld:v1 -t hello:v1")
    az("acr import -n labimages --source mcr.microsoft.com/azuredocs/azure-vote-front:v1 -t vote:v1 -t vote:stable")
    az("acr import -n labimages --source ghcr.io/kubereboot/charts/kured:6.1.0 -t helm/kured:6.1.0")
    missing = az.run("acr import -n labimages --source ghcr.io/kubereboot/nothing:1 -t x:1")
    assert missing.returncode
    assert "ghcr.io/kubereboot/nothing:1" in missing.stderr
    taken = az.run("acr import -n labimages --source docker.io/library/busybox:1.37.0 -t hello:v1")
    assert taken.returncode
    assert "already exists" in taken.stderr
    assert az("acr repository list -n labimages") == ["hello", "helm/kured", "vote"]
    assert az("acr repository show-tags -n labimages --repository vote") == ["stable", "v1"]
    shown = az("acr repository show -n labimages --image vote:v1")
    assert az("acr repository show -n labimages --repository vote")["tagCount"] == 2
    (row,) = az("acr manifest list-metadata -r labimages -n vote")
    assert (row["digest"], sorted(row["tags"])) == (shown["digest"], ["stable", "v1"])
    chart = az("acr manifest show -r labimages -n helm/kured:6.1.0")
    assert chart["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    locked = az("acr repository update -n labimages --image vote:v1 --write-enabled false")
    assert locked["changeableAttributes"]["writeEnabled"] is False
    az("acr repository untag -n labimages --image vote:stable")
    assert az("acr repository show-tags -n labimages --repository vote") == ["v1"]
    az("acr repository delete -n labimages --repository hello --yes")
    assert az("acr repository list -n labimages") == ["helm/kured", "vote"]
    unknown = az.run("acr repository show -n labimages --repository hello")
    assert unknown.returncode == 3
    assert 'repository "hello" is not found' in unknown.stderr


def test_attaching_a_registry_is_a_role_of_the_kubelets(az: Az) -> None:
    registry = az("acr create -g rg-acr -n labattach --sku Basic")
    cluster = az("aks create -g rg-acr -n shop --node-count 1 --no-ssh-key")
    az("aks update -g rg-acr -n shop --attach-acr labattach")
    kubelet = cluster["identityProfile"]["kubeletidentity"]["objectId"]
    roles = az("role assignment list --scope", registry["id"])
    assert [(r["principalId"], r["roleDefinitionName"]) for r in roles] == [(kubelet, "AcrPull")]
    told = az.run("aks check-acr -g rg-acr -n shop --acr labattach.azurecr.io")
    assert (told.returncode, "Your cluster can pull images from labattach.azurecr.io!" in told.stdout) == (0, True)
    az("aks update -g rg-acr -n shop --detach-acr labattach")
    assert az("role assignment list --scope", registry["id"]) == []
    told = az.run("aks check-acr -g rg-acr -n shop --acr labattach.azurecr.io")
    assert "labattach.azurecr.io rejected token exchange" in told.stdout  # kubectl run waits for no exit code: 0
    az("acr delete -n labattach --yes")
    assert az.run("acr show -n labattach").returncode


def test_defender_is_a_plan_of_the_subscription_and_a_sensor_of_the_cluster(az: Az) -> None:
    plans = {row["name"]: row for row in az("security pricing list")["value"]}
    assert plans["Containers"]["pricingTier"] == "Free"
    assert plans["KubernetesService"]["replacedBy"] == ["Containers"]
    made = az("security pricing create -n Containers --tier standard")
    assert (made["pricingTier"], made["name"]) == ("Standard", "Containers")
    assert {one["isEnabled"] for one in made["extensions"]} == {"True"}
    sensor = az(
        "security pricing create -n Containers --tier standard --extensions name=ContainerSensor isEnabled=False"
    )
    assert [one["name"] for one in sensor["extensions"] if one["isEnabled"] == "False"] == ["ContainerSensor"]
    assert az("security pricing show -n Containers")["pricingTier"] == "Standard"
    assert az("security pricing create -n Containers --tier free")["extensions"] is None
    unknown = az.run("security pricing show -n Everything")
    assert unknown.returncode
    assert "Possible pricing bundle names" in unknown.stderr
    (setting,) = az("security auto-provisioning-setting list")
    assert setting["autoProvision"] == "Off"


def test_the_sensor_is_switched_on_with_a_workspace_and_off_without(az: Az, tmp_path: Path) -> None:
    az("aks create -g rg-acr -n watched --node-count 1 --no-ssh-key")
    workspace = az("monitor log-analytics workspace create -g rg-acr -n logs")
    config = tmp_path / "defender.json"
    config.write_text(json.dumps({"logAnalyticsWorkspaceResourceId": workspace["id"]}))
    on = az("aks update -g rg-acr -n watched --enable-defender --defender-config", str(config))
    assert on["securityProfile"]["defender"]["securityMonitoring"]["enabled"] is True
    assert on["securityProfile"]["defender"]["logAnalyticsWorkspaceResourceId"] == workspace["id"]
    off = az("aks update -g rg-acr -n watched --disable-defender")
    assert off["securityProfile"]["defender"]["securityMonitoring"]["enabled"] is False
    by_default = az("aks update -g rg-acr -n watched --enable-defender")
    assert "DefaultWorkspace-" in by_default["securityProfile"]["defender"]["logAnalyticsWorkspaceResourceId"]
