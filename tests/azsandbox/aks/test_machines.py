from __future__ import annotations

import pytest

from azsandbox.aks import machines, node_objects, versions


def made(count: int, zones: list[str]) -> list[machines.Machine]:
    return machines.grow([], count, 0, zones)


def test_machines_are_spread_over_the_zones() -> None:
    assert [m["zone"] for m in made(5, ["1", "2", "3"])] == ["1", "2", "3", "1", "2"]


def test_shrinking_keeps_the_zones_in_balance() -> None:
    have = made(6, ["1", "2", "3"])
    gone = machines.shrink(have, 3, ["1", "2", "3"])
    assert sorted(m["zone"] for m in have if m not in gone) == ["1", "2", "3"]


def test_instances_are_numbered_in_base_36() -> None:
    assert machines.node_name("aks-a-12345678-vmss", {"instance": 10}) == "aks-a-12345678-vmss00000a"


@pytest.mark.parametrize(
    ("count", "text", "nodes"), [(5, "33%", 2), (3, None, 1), (10, "10%", 1), (4, "2", 2), (3, "0", 0)]
)
def test_surge_is_rounded_up(count: int, text: str | None, nodes: int) -> None:
    assert machines.surge(count, text) == nodes


def test_a_node_keeps_back_what_aks_reserves() -> None:
    vm = {"cores": 4, "memoryGB": 16}
    capacity, allocatable = node_objects.sizes(vm, {"maxPods": 30, "osDiskSizeGB": 128})
    assert capacity["cpu"] == "4"
    assert allocatable["cpu"] == "3860m"
    assert node_objects.reserved_mebibytes(16000, 30) == 20 * 30 + 50 + 100


def test_a_taint_of_a_pool_becomes_a_taint_of_its_nodes() -> None:
    assert node_objects.taint("CriticalAddonsOnly=true:NoSchedule") == {
        "key": "CriticalAddonsOnly",
        "value": "true",
        "effect": "NoSchedule",
    }


def test_an_empty_version_is_the_default_minor() -> None:
    short, full = versions.resolve("") or ("", "")
    assert full.startswith(short + ".")


def test_a_version_without_support_is_not_offered() -> None:
    assert versions.resolve("1.18.14") is None
    assert versions.resolve("1.33") is None
    assert versions.resolve("1.33", versions.LONG_TERM) is not None


def test_an_upgrade_goes_one_minor_at_a_time() -> None:
    assert {versions.minor(v) for v in versions.upgrades("1.34.4")} == {"1.34", "1.35"}
