"""Each check passes the healthy baseline and catches the faults that it is there for."""

from __future__ import annotations

import pytest

from labkit.checks import catalogue
from labkit.checks.collector import readers
from labkit.checks.core import ERAS, SEVERITIES, Status, run
from labkit.settings import Settings
from tests.labkit.faults import FAULTS as CLUSTER_FAULTS
from tests.labkit.gitops_faults import GITOPS_FAULTS
from tests.labkit.governance_faults import GOVERNANCE_FAULTS
from tests.labkit.healthy import evidence
from tests.labkit.identity_faults import IDENTITY_FAULTS
from tests.labkit.policy_faults import POLICY_FAULTS
from tests.labkit.workload_faults import WORKLOAD_FAULTS

FAULTS = [*CLUSTER_FAULTS, *GOVERNANCE_FAULTS, *POLICY_FAULTS, *GITOPS_FAULTS, *IDENTITY_FAULTS, *WORKLOAD_FAULTS]
IDS = list(catalogue.checks())
WRONG = (Status.FAIL, Status.WARN)


@pytest.mark.parametrize("check_id", IDS)
def test_a_healthy_cluster_passes(check_id: str) -> None:
    result = run(catalogue.checks()[check_id], evidence())
    assert result.status is Status.PASS, [finding for finding in result.findings if finding.status is not Status.PASS]
    assert result.observed
    assert result.next_command == ""
    assert result.object_id


@pytest.mark.parametrize(("check_id", "name", "status", "seed"), FAULTS, ids=[f"{row[0]}: {row[1]}" for row in FAULTS])
def test_a_seeded_fault_is_caught(check_id: str, name: str, status: Status, seed: object) -> None:
    seen = evidence()
    seed(seen)  # type: ignore[operator]
    result = run(catalogue.checks()[check_id], seen)
    assert result.status is status, (result.status, result.observed, result.reason)
    if status in WRONG:
        assert result.reason
        assert result.expected
        assert result.next_command
        assert "<" not in result.next_command
    if status in (Status.SKIP, Status.UNKNOWN):
        assert result.reason
    if status is Status.PASS:
        assert result.observed


@pytest.mark.parametrize("check_id", IDS)
def test_every_check_has_a_fault_that_it_finds(check_id: str) -> None:
    assert any(row[0] == check_id and row[2] in WRONG for row in FAULTS)


def test_the_part_one_catalogue_is_whole() -> None:
    assert len([check_id for check_id in IDS if check_id.startswith("cluster.")]) == 33


def test_the_part_two_catalogue_is_whole() -> None:
    assert len([check_id for check_id in IDS if check_id.startswith("governance.")]) == 22


def test_the_part_three_catalogue_is_whole() -> None:
    assert len([check_id for check_id in IDS if check_id.startswith("gitops.")]) == 18


def test_the_part_four_catalogue_is_whole() -> None:
    assert len([check_id for check_id in IDS if check_id.startswith("identity.")]) == 12


def test_the_catalogue_of_what_runs_is_whole() -> None:
    assert len([check_id for check_id in IDS if check_id.startswith("workload.")]) == 15


@pytest.mark.parametrize("check_id", IDS)
def test_the_texts_are_complete(check_id: str) -> None:
    check = catalogue.checks()[check_id]
    assert check.severity in SEVERITIES
    assert check.era in ERAS
    assert check.title
    assert len(check.why) > 40
    assert len(check.hints) == 3
    assert len(set(check.hints)) == 3
    assert check.references
    assert set(check.reads) | set(check.also) <= set(readers())


def test_a_stock_cluster_scores_as_the_catalogue_says() -> None:
    """Section 5 of the catalogue: what `az aks create` with no flags makes, recorded on 24 Apr 2026."""
    seen = evidence()
    cluster = seen.sources["cluster"]
    cluster["sku"]["tier"] = "Free"
    cluster["identity"] = {"type": "SystemAssigned"}
    properties = cluster["properties"]
    for key in ("aadProfile", "apiServerAccessProfile"):
        del properties[key]
    properties["networkProfile"]["networkPolicy"] = "none"
    properties["autoUpgradeProfile"] = {"nodeOSUpgradeChannel": "NodeImage"}
    properties["disableLocalAccounts"] = False
    pool = {**properties["agentPoolProfiles"][0], "name": "nodepool1", "enableAutoScaling": False, "count": 3}
    for key in ("availabilityZones", "nodeTaints", "minCount", "maxCount", "vnetSubnetID"):
        pool.pop(key, None)
    pool |= {
        "osDiskType": "Managed",
        "enableEncryptionAtHost": False,
        "upgradeSettings": {"maxSurge": "10%", "maxUnavailable": "0"},
        "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202611.13.0",
    }
    properties["agentPoolProfiles"] = [pool]
    seen.sources["maintenance"] = []
    properties["securityProfile"] = {}
    for key in ("addonProfiles", "azureMonitorProfile"):
        del properties[key]
    expected = {
        Status.PASS: "provisioning-state managed-identity network-plugin network-plugin-mode node-os-upgrade "
        "system-pool-count retired-features",
        # The catalogue counts a missing subnet as failed on the path of 2021, and as a warning on the modern one.
        Status.WARN: "max-surge node-os vnet",
        Status.FAIL: "sku-tier auto-upgrade maintenance-window entra-id azure-rbac api-server-exposure network-policy "
        "system-pool-taint user-pool autoscaling zones ephemeral-os-disk host-encryption",
        Status.SKIP: "local-accounts subnet-capacity cidr-overlap",
    }
    for status, names in expected.items():
        for name in names.split():
            assert run(catalogue.checks()[f"cluster.{name}"], seen).status is status, name
    for name in ("container-insights", "managed-prometheus", "defender-sensor", "policy-addon"):
        assert run(catalogue.checks()[f"governance.{name}"], seen).status is Status.FAIL, name


def test_keys_in_another_case_are_read_all_the_same() -> None:
    seen = evidence()
    profile = seen.sources["cluster"]["properties"]["aadProfile"]
    profile["enableAzureRbac"] = profile.pop("enableAzureRBAC")
    seen.sources["cluster"]["properties"]["POWERSTATE"] = seen.sources["cluster"]["properties"].pop("powerState")
    assert run(catalogue.checks()["cluster.azure-rbac"], seen).status is Status.PASS
    assert run(catalogue.checks()["cluster.provisioning-state"], seen).status is Status.PASS


def test_the_series_own_plan_fits_its_subnet() -> None:
    """1,019 usable addresses; two pools of at most 5 with 33 % surge are 14 nodes of 31 addresses, 434."""
    seen = evidence()
    del seen.sources["cluster"]["properties"]["networkProfile"]["networkPluginMode"]
    for pool in seen.sources["cluster"]["properties"]["agentPoolProfiles"]:
        pool |= {"maxPods": 30, "maxCount": 5}
    result = run(catalogue.checks()["cluster.subnet-capacity"], seen)
    assert result.observed == "434 of 1019 addresses at full scale"
    assert result.status is Status.PASS


def test_a_check_does_not_change_the_evidence() -> None:
    seen, untouched = evidence(), evidence()
    for check in catalogue.select():
        run(check, seen)
    assert seen.sources == untouched.sources


def test_the_names_of_the_lab_stand_in_the_next_command() -> None:
    settings = Settings()
    settings.prefix = "ada-"
    seen = evidence()
    seen.settings = settings
    seen.sources["cluster"]["sku"]["tier"] = "Free"
    assert "--name ada-aks-baseline" in run(catalogue.checks()["cluster.sku-tier"], seen).next_command


def test_a_result_tells_of_the_first_few_objects_and_counts_the_others() -> None:
    seen = evidence()
    for index, node in enumerate(seen.sources["nodes"]):
        node["name"] = f"n{index}"
        node["unschedulable"] = True
    result = run(catalogue.checks()["cluster.nodes-ready"], seen)
    assert result.observed == "n0: cordoned; n1: cordoned; n2: cordoned; n3: cordoned; and 2 more"
    assert len(result.findings) == 6
