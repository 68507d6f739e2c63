"""The checks of the lab itself: each passes a sound lab and catches its fault, from evidence alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from labkit.checks import own
from labkit.checks.core import Status, run
from labkit.checks.evidence import Evidence, Problem
from labkit.settings import Settings
from tests.labkit.healthy import SUBSCRIPTION

SIZE = {"zones": ["1", "2", "3"], "family": "standardDDSv5Family", "cores": 4}
SOUND: dict[str, Any] = {
    "kubectl": "v1.35.0",
    "providers": {"Microsoft.Compute": "Registered"},
    "features": {"Microsoft.Compute/EncryptionAtHost": "Registered"},
    "permissions": [{"actions": ["*"], "notActions": []}],
    "versions": ["1.36", "1.35"],
    "sizes": {"standard_d4ds_v5": SIZE},
    "usages": {"standardddsv5family": (0, 100)},
    "group": {
        "id": "/g",
        "name": "rg-aks-baseline",
        "location": "westeurope",
        "tags": {"purpose": "aks-baseline-lab"},
    },
    "network": {
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.10.0.0/16"]},
            "subnets": [
                {"name": "snet-aks-baseline", "properties": {"addressPrefix": "10.10.0.0/22"}},
                {"name": "snet-aci", "properties": {"addressPrefixes": ["10.10.4.0/23"]}},
            ],
        }
    },
    "workspace": {"name": "log-aks-baseline", "properties": {"retentionInDays": 30}},
    "groups": [{"name": "NetworkWatcherRG", "tags": {}}],
    "assignments": [{"name": "a", "properties": {"scope": f"/subscriptions/{SUBSCRIPTION}"}}],
    "vaults": [{"name": "kv-of-others", "id": "/subscriptions/s/resourceGroups/rg-work/x", "deleted": False}],
    "contexts": ["work"],
}
FAULTS: dict[str, dict[str, Any]] = {
    "preflight.kubectl": {"kubectl": ""},
    "preflight.providers": {"providers": {"Microsoft.Compute": "Registering"}},
    "preflight.roles": {
        "permissions": [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}],
    },
    "preflight.version": {"versions": ["1.37"]},
    "preflight.vm-size": {"sizes": {"standard_d4ds_v5": {**SIZE, "zones": ["1", "2"]}}},
    "preflight.quota": {"usages": {"standardddsv5family": (0, 20)}},
    "groundwork.features": {"features": {"Microsoft.Compute/EncryptionAtHost": "NotRegistered"}},
    "groundwork.group": {"group": {"name": "rg-aks-baseline", "location": "westeurope"}},
    "groundwork.network": {"network": {}},
    "groundwork.workspace": {"workspace": {"name": "log-aks-baseline", "properties": {"retentionInDays": 90}}},
    "clean.groups": {"groups": [{"name": "MC_rg-aks-baseline_aks-baseline_westeurope"}]},
    "clean.role-assignments": {
        "assignments": [
            {"name": "a", "properties": {"scope": f"/subscriptions/{SUBSCRIPTION}/resourcegroups/RG-aks-baseline"}}
        ]
    },
    "clean.vaults": {"vaults": [{"name": "kv-aks-baseline", "id": "/v", "deleted": False}]},
    "clean.kubeconfig": {"contexts": ["aks-baseline"]},
}
IDS = list(own.checks())


def judged(check_id: str, sources: dict[str, Any]) -> Status:
    settings = Settings()
    settings.kubernetes_version = "1.35"
    evidence = Evidence(settings, datetime(2026, 11, 24, tzinfo=UTC), "modern", SUBSCRIPTION, sources)
    return run(own.checks()[check_id], evidence).status


def test_every_check_has_a_fault_to_catch() -> None:
    assert sorted(FAULTS) == sorted(IDS)


@pytest.mark.parametrize("check_id", IDS)
def test_a_sound_lab_passes(check_id: str) -> None:
    assert judged(check_id, SOUND) is Status.PASS


@pytest.mark.parametrize("check_id", IDS)
def test_the_fault_is_caught(check_id: str) -> None:
    assert judged(check_id, {**SOUND, **FAULTS[check_id]}) is Status.FAIL


@pytest.mark.parametrize("check_id", IDS)
def test_what_cannot_be_read_is_not_known(check_id: str) -> None:
    denied = {source: Problem(Status.UNKNOWN, "403") for source in SOUND}
    assert judged(check_id, denied) is Status.UNKNOWN


def test_a_tagged_group_of_any_name_is_a_leftover() -> None:
    left = [{"name": "rg-forgotten", "tags": {"purpose": "aks-baseline-lab"}}]
    assert judged("clean.groups", {**SOUND, "groups": left}) is Status.FAIL


def test_a_group_whose_name_only_begins_alike_is_no_leftover() -> None:
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-aks-baseline-2"
    other = [{"name": "a", "properties": {"scope": scope}}]
    assert judged("clean.role-assignments", {**SOUND, "assignments": other}) is Status.PASS


@pytest.mark.parametrize(("protected", "expected"), [(True, Status.PASS), (None, Status.FAIL)])
def test_a_deleted_vault_may_stay_only_while_it_is_protected(protected: bool | None, expected: Status) -> None:
    properties = {"scheduledPurgeDate": "2026-12-02T00:00:00Z", "purgeProtectionEnabled": protected}
    deleted = [{"name": "kv-aks-baseline", "properties": {"vaultId": "/v", **properties}, "deleted": True}]
    assert judged("clean.vaults", {**SOUND, "vaults": deleted}) is expected


def test_a_vault_of_any_name_in_the_labs_group_is_a_leftover() -> None:
    there = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/RG-aks-baseline/providers/Microsoft.KeyVault/vaults/other"
    assert (
        judged("clean.vaults", {**SOUND, "vaults": [{"name": "other", "id": there, "deleted": False}]}) is Status.FAIL
    )


def test_parts_and_ids_select() -> None:
    assert [check.id for check in own.select(["clean"])] == [
        check_id for check_id in IDS if check_id.startswith("clean.")
    ]
    assert own.select(["cluster"]) == ()
